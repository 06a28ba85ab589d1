//! An account that its person took out, and that the bank goes on listing, reaches nothing: no row, no raw page, no work, no
//! event, no record, no file, and no log of ours or of the database, at its most talkative.

use store::raw_pages;

use super::*;

/// What makes the database write down every statement, and all that is put into it.
const TALKATIVE: [&str; 3] = [
    "alter database tributary set log_statement = 'all'",
    "alter database tributary set log_parameter_max_length = -1",
    "alter database tributary set log_error_verbosity = 'default'",
];

/// Waits until so many fetches have ended.
async fn fetched(scene: &mut Scene, node: &Node, many: i64) {
    let sql = "select count(*) from fetch_run where state = 'done'";
    for _ in 0..3600 {
        let done: i64 = sqlx::query_scalar(sql).fetch_one(&mut scene.owner).await.unwrap();
        if done >= many {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{many} fetches were waited for in vain; the node said:\n{}", node.log());
}

/// The bank's id of an account, while it is held.
async fn resource_id(scene: &Scene, consent: ConsentId, line: LineId) -> String {
    let (app, tenant) = (&scene.world.app, scene.world.app.tenant.id);
    let mut tx = app.store.tenant_tx(tenant).await.unwrap();
    let held = lines::resources(&mut tx, consent).await.unwrap();
    let resource = held.iter().find(|held| held.line.id == line).unwrap();
    let key = app.vault.open_key(tenant, &resource.line.key).unwrap();
    String::from_utf8(resource.resource_id(tenant, &key).unwrap().to_vec()).unwrap()
}

/// Every raw page of the accounts that stay, opened.
async fn raw(scene: &Scene, consent: ConsentId) -> String {
    let (app, tenant) = (&scene.world.app, scene.world.app.tenant.id);
    let mut tx = app.store.tenant_tx(tenant).await.unwrap();
    let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
    let mut text = String::new();
    for held in lines::held(&mut tx, scene.world.product, filter).await.unwrap() {
        let key = app.vault.open_key(tenant, &held.line.key).unwrap();
        for page in raw_pages::of_line(&mut tx, held.line.id, None, 1000).await.unwrap() {
            text += &String::from_utf8_lossy(&page.open(tenant, &key).unwrap());
        }
    }
    text
}

#[tokio::test]
async fn a_removed_account_that_the_bank_still_lists_reaches_nothing() {
    let mut scene = Scene::new().await;
    for sql in TALKATIVE {
        scene.owner.execute(sql).await.unwrap();
    }
    let said = Said::default();
    let listening = said.listen();
    let mara = scene.world.connect(CUSTOMER).await;
    let mut node = Node::logging(NODE, &scene.world, Fault::None, "trace");
    fetched(&mut scene, &node, 1).await;
    let going = planted(&scene, mara).await;
    // Its owner's name is that of the accounts which stay.
    let mut words: Vec<String> = scene.mara.iter().filter(|word| *word != MARA.owner).cloned().collect();
    assert_holds(&scene.opened(&scene.world.app.store, mara).await.unwrap(), &words);
    let resource = resource_id(&scene, mara, going).await;
    words.push(resource.clone());

    let receiver = Receiver::start().await;
    let product = Caller::new(&scene.world, &format!("http://{}", node.address().await), Some(&scene.world.api_key));
    let endpoint = serde_json::json!({ "url": receiver.url("removed"), "types": [] });
    assert_eq!(product.post("/v1/webhook-endpoints", &endpoint).await.status.as_u16(), 201);
    let removed = product.delete(&format!("/v1/consents/{mara}/accounts/{going}")).await;
    assert!(removed.status.is_success(), "{}", removed.text());
    scene.wait_for_rest(&node).await;
    let asked = scene.world.bank.requests().len();
    let mut logs = vec![node.stop().await.log];

    // The bank is read again the next day, and once more after its person has renewed it there.
    for renewed in [false, true] {
        scene.world.clock.advance(SignedDuration::from_hours(25));
        if renewed {
            scene.world.authorise(mara, CUSTOMER).await;
        }
        let node = Node::logging(NODE, &scene.world, Fault::None, "trace");
        fetched(&mut scene, &node, 2 + i64::from(renewed)).await;
        scene.wait_for_rest(&node).await;
        logs.push(node.stop().await.log);
        assert_eq!(scene.left(&[going], &[]).await, BTreeMap::new(), "renewed: {renewed}");
        assert_eq!(scene.lines(mara).await.len(), 2, "renewed: {renewed}");
        let pages = raw(&scene, mara).await;
        assert!(pages.contains("transactionAmount"), "{} bytes", pages.len());
        assert_holds_none(&pages, &words);
        assert_holds_none(&scene.opened(&scene.world.app.store, mara).await.unwrap(), &words);
    }
    drop(listening);
    let requests = scene.world.bank.requests().split_off(asked);
    assert!(requests.iter().filter(|request| request.ends_with("/transactions")).count() >= 4, "{requests:?}");
    assert!(!requests.iter().any(|request| request.contains(&resource)), "it was asked for: {requests:?}");
    for sent in receiver.received() {
        assert_holds_none(&String::from_utf8_lossy(&sent.body), &words);
    }
    assert!(!receiver.received().is_empty());
    receiver.end().await;
    assert_holds_none(&scene.bundle(mara).await, &words);
    let said = said.bytes();
    for log in logs.iter().map(String::as_bytes).chain([said.as_slice()]) {
        assert!(log.len() > 100_000, "{} bytes", log.len());
        assert_eq!(Search::new(&words).first_in(log), None, "a log has it");
    }
    // Tables, work that waits, write-ahead log and what the database wrote down.
    scene.assert_sealed("after the removal").await;
    let found = Search::new(&[resource]).below(scene.world.dir.path()).found;
    assert!(found.is_empty(), "{found:?}");
    let told = std::fs::read_to_string(scene.world.dir.path().join("postgres").join("server.log")).unwrap();
    let line = |words: &[&str]| told.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["insert into raw_page"]) && line(&["$1 = '", "$2 = '"]), "the database writes nothing down");
    scene.end().await;
}
