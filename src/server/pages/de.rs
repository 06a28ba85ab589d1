//! The German texts of the pages. Entry by entry the same as the English ones.

use super::language::table;

table! { De {
    language() "de";
    consent_version() "de-2";
    skip() "Zum Inhalt springen";
    for_product(product) "für {product}";
    steps_label() "Fortschritt";
    step_bank() "Bank";
    step_permission() "Erlaubnis";
    step_at_bank() "Bei Ihrer Bank";
    step_done() "Fertig";
    footer_tpp(tpp, authorisation) "{tpp} ist der beaufsichtigte Anbieter hinter dieser Seite ({authorisation}).";
    footer_password() "Sie melden sich bei Ihrer Bank an. Ihr Passwort sehen wir nie.";
    footer_support() "Fragen und Beschwerden";
    footer_privacy() "Datenschutzhinweise";

    landing_title() "Bank verbinden";
    landing_title_at(bank) "Ihr Konto bei {bank} verbinden";
    landing_intro(product, tpp) "{product} bittet {tpp}, Ihr Bankkonto zu verbinden. Nichts wird geteilt, bevor Sie gelesen haben, wofür, und zugestimmt haben.";
    landing_step_choose() "Bank auswählen";
    landing_step_bank(bank) "Ihre Bank: {bank}";
    landing_step_read() "Lesen, was mit wem und wie lange geteilt würde";
    landing_step_confirm() "Bei Ihrer Bank bestätigen, auf deren eigener Seite";
    landing_stop() "Sie können jederzeit aufhören; was gelesen wurde, wird dann gelöscht.";
    landing_begin() "Beginnen";

    picker_title() "Bank auswählen";
    picker_search() "Name Ihrer Bank oder ihre BIC";
    picker_go() "Suchen";
    picker_results() "Banken";
    picker_sandbox() "Testsystem";
    picker_none(query) "Keine Bank passt zu „{query}“.";
    picker_none_help() "Prüfen Sie die Schreibweise oder suchen Sie nach einem Teil des Namens. Eine Bank, die hier nicht steht, kann noch nicht verbunden werden.";
    picker_empty() "Im Moment kann keine Bank verbunden werden. Bitte kommen Sie später wieder.";
    picker_left_off(count) "{count} weitere passen. Geben Sie mehr vom Namen ein, um Ihre zu finden.";

    consent_title(bank) "Was Sie von {bank} teilen";
    consent_intro(product, tpp, bank) "{product} möchte Daten Ihrer Konten bei {bank} sehen. {tpp} liest sie dafür, und nur mit Ihrer Erlaubnis.";
    consent_purpose() "Wofür";
    consent_purpose_limit(product) "{product} darf die Daten für nichts anderes verwenden.";
    consent_data() "Was geteilt wird";
    consent_data_limit() "Sonst nichts. Niemand kann eine Zahlung auslösen oder an Ihrem Konto etwas ändern, und niemand außer Ihrer Bank sieht Ihr Passwort.";
    consent_cluster_accounts() "Konten";
    consent_cluster_accounts_detail() "Name, Nummer, Art und Währung";
    consent_cluster_holder() "Kontoinhaber";
    consent_cluster_holder_detail() "der Name, auf den das Konto lautet";
    consent_cluster_balances() "Salden";
    consent_cluster_balances_detail() "was auf dem Konto ist und was verfügbar ist";
    consent_cluster_transactions() "Umsätze";
    consent_cluster_transactions_detail() "Betrag, Datum, Gegenseite und Text, so weit zurück, wie Ihre Bank sie herausgibt";
    consent_cluster_transactions_days(days) "Betrag, Datum, Gegenseite und Text, ab den letzten {days} Tagen";
    consent_term() "Wie lange";
    consent_term_once() "Die Daten werden einmal gelesen, jetzt. Danach ist die Erlaubnis verbraucht.";
    consent_term_until(date) "Bis {date}, wenn Sie nicht früher aufhören.";
    consent_term_unattended(reads) "Neue Daten werden höchstens {reads}-mal am Tag gelesen, während Sie nicht da sind, und wann immer Sie es verlangen.";
    consent_term_confirm(days) "Ihre Bank bittet Sie etwa alle {days} Tage um eine neue Bestätigung. Ohne sie endet das Lesen.";
    consent_instead_replaces(bank) "{bank} lässt immer nur eine Erlaubnis zu. Diese tritt an die Stelle der früheren; was unter ihr gelesen wurde, bleibt.";
    consent_instead_renews(bank) "{bank} lässt immer nur eine Erlaubnis zu. Mit der Bestätigung dort erneuern Sie auch die früheren Erlaubnisse; sie gelten unverändert weiter.";
    elsewhere_shared(bank) "{bank} lässt immer nur eine Erlaubnis zu, und ein anderer Dienst scheint schon eine zu haben. Haben Sie diese erteilt, so gelten beide unter der neuen weiter: Der andere Dienst liest, was er bisher gelesen hat, und nicht mehr.";
    elsewhere_ends(bank) "{bank} lässt immer nur eine Erlaubnis zu, und ein anderer Dienst scheint schon eine zu haben. Haben Sie diese erteilt, so beendet die Bank sie, sobald Sie dort bestätigen. Der andere Dienst behält, was er gelesen hat, liest nichts Neues und muss Sie bitten, erneut zu bestätigen.";
    consent_who() "Wer sie bekommt";
    consent_who_product(product) "{product}, das Produkt, von dem Sie kommen";
    consent_who_tpp(tpp, authorisation) "{tpp}, der Anbieter, der die Daten liest und verschlüsselt aufbewahrt ({authorisation})";
    consent_who_intermediary(name, bank, tpp) "{name}: meldet sich für {tpp} bei {bank} an und gibt die Daten weiter. Was {name} davon behält, kann nur {name} sagen; Belege von {tpp} beweisen es nicht.";
    consent_who_limit() "Sonst niemand.";
    consent_stop() "Wie Sie aufhören";
    consent_stop_where(product, tpp) "Jederzeit und kostenlos: auf Ihrer Übersichtsseite bei {tpp}, in {product} oder bei Ihrer Bank.";
    consent_stop_effect() "Das Lesen endet sofort, und was gelesen wurde, wird gelöscht; darüber können Sie eine signierte Bescheinigung haben. Nur die Aufzeichnung dieser Erlaubnis bleibt, wie das Gesetz es verlangt.";
    consent_stop_effect_held(days) "Das Lesen endet sofort, und niemand benutzt mehr, was gelesen wurde. Ein Gesetz verpflichtet uns, es noch {days} Tage aufzubewahren; dann wird es gelöscht, und darüber können Sie eine signierte Bescheinigung haben. Die Aufzeichnung dieser Erlaubnis bleibt länger, wie das Gesetz es verlangt.";
    consent_stop_effect_held_day() "Das Lesen endet sofort, und niemand benutzt mehr, was gelesen wurde. Ein Gesetz verpflichtet uns, es noch einen Tag aufzubewahren; dann wird es gelöscht, und darüber können Sie eine signierte Bescheinigung haben. Die Aufzeichnung dieser Erlaubnis bleibt länger, wie das Gesetz es verlangt.";
    consent_end_blocked(days) "Endet die Erlaubnis von selbst, kann niemand lesen, was gespeichert war, und nach {days} Tagen wird es gelöscht.";
    consent_end_blocked_day() "Endet die Erlaubnis von selbst, kann niemand lesen, was gespeichert war, und einen Tag danach wird es gelöscht.";
    consent_end_readable(product, days) "Endet die Erlaubnis von selbst, kann {product} noch {days} Tage lesen, was gespeichert war, wenn Sie es nicht beenden; dann wird es gelöscht.";
    consent_end_readable_day(product) "Endet die Erlaubnis von selbst, kann {product} noch einen Tag lesen, was gespeichert war, wenn Sie es nicht beenden; dann wird es gelöscht.";
    consent_end_erased() "Endet die Erlaubnis von selbst, wird sofort gelöscht, was gespeichert war.";
    consent_acknowledge(tpp, bank, product) "Ich habe das gelesen. Ich bin einverstanden, dass {tpp} diese Daten von mir bei {bank} liest und für diesen Zweck an {product} gibt.";
    consent_accept(bank) "Zustimmen und zu {bank} gehen";
    consent_decline() "Nein, zurück";
    login_name(bank) "Ihr Anmeldename bei {bank}";
    login_name_why(bank) "{bank} fragt Sie in der App und muss wissen, wen. Der Name geht nur an {bank} und wird nicht aufbewahrt. Geben Sie hier nie Ihr Passwort ein.";
    login_name_missing(bank) "Bitte geben Sie den Namen ein, mit dem Sie sich bei {bank} anmelden.";
    consent_missing() "Bitte setzen Sie das Häkchen, um zuzustimmen, oder gehen Sie ohne Zustimmung zurück.";
    consent_next(bank) "Als Nächstes melden Sie sich bei {bank} an, auf deren eigener Seite, und wählen dort die Konten.";

    return_what_next() "Was Sie tun können";
    return_restart() "Noch einmal versuchen";
    return_overview() "Ansehen, was verbunden ist";
    return_product(product) "Zurück zu {product}";
    return_by_hand(product) "Schließen Sie diese Seite und beginnen Sie in {product} von vorn.";
    return_reference(reference) "Wenn Sie um Hilfe bitten, nennen Sie {reference}.";
    your_bank() "Ihre Bank";

    connected_title(bank) "{bank} ist verbunden";
    connected_intro(product) "{product} kann jetzt diese Konten sehen.";
    connected_reading(product) "Die ersten Daten werden gerade gelesen; {product} zeigt sie gleich. Diese Seite sieht von selbst wieder nach.";
    connected_until(date) "Bis {date}, wenn Sie nicht früher aufhören.";
    connected_once() "Einmal gelesen; die Erlaubnis ist verbraucht.";
    connected_accounts() "Verbundene Konten";
    connected_stop_hint() "Sie können jederzeit sehen und beenden, was Sie teilen.";

    overview_title() "Was Sie teilen";
    overview_intro(tpp, product) "Was {tpp} für {product} bei Ihren Banken liest, und bis wann.";
    overview_nothing() "Im Moment teilen Sie nichts.";
    overview_nothing_help() "Wenn Sie eine Bank verbinden, finden Sie sie hier.";
    overview_with(product) "geteilt mit {product}";
    overview_active() "Aktiv";
    overview_needs_you() "Braucht Sie";
    overview_ended() "Beendet";
    overview_purpose() "Wofür";
    overview_data() "Daten";
    overview_erasure() "Löschung";
    overview_accounts() "Konten";
    overview_since() "Seit";
    overview_until() "Bis";
    overview_until_stopped() "bis Sie aufhören";
    overview_last_read() "Zuletzt gelesen";
    overview_never_read() "noch nicht";
    overview_ended_at() "Beendet";
    overview_needs_you_text(bank) "{bank} möchte Sie wieder sehen, bevor mehr gelesen wird. Was bisher gelesen wurde, bleibt, wie es ist.";
    overview_soon_text(bank) "{bank} möchte Sie bald wieder sehen. Bestätigen Sie rechtzeitig, dann geht das Lesen ohne Unterbrechung weiter.";
    overview_renew(bank) "Bei {bank} bestätigen";
    overview_reconfirm_text(bank, product) "Sie haben seit 90 Tagen nicht bestätigt, deshalb wird bei {bank} nichts mehr gelesen. Möchten Sie diese Daten weiter mit {product} teilen? Zu Ihrer Bank müssen Sie dafür nicht.";
    overview_reconfirm_soon_text(product) "Alle 90 Tage fragen wir: Möchten Sie diese Daten weiter mit {product} teilen? Zu Ihrer Bank müssen Sie dafür nicht.";
    overview_reconfirm() "Ja, weiter teilen";
    overview_stop(bank) "Nichts mehr von {bank} teilen";
    overview_stop_ask(bank, product) "{product} verliert den Zugriff sofort, und alles, was bei {bank} dafür gelesen wurde, wird gelöscht. Das lässt sich nicht rückgängig machen; Sie können später neu verbinden.";
    overview_stop_confirm() "Beenden und löschen";
    overview_remove() "Ein Konto nicht mehr teilen";
    overview_remove_ask(product) "{product} verliert es sofort, und was daraus gelesen wurde, wird gelöscht. Ihre anderen Konten bleiben, wie sie sind.";
    overview_remove_which() "Welches Konto?";
    overview_remove_confirm() "Herausnehmen und löschen";

    stopped_title(bank) "Sie teilen keine Daten von {bank} mehr";
    stopped_intro(product) "{product} hat keinen Zugriff mehr.";
    stopped_progress() "Was geschehen ist";
    stopped_ours() "Auf unserer Seite beendet";
    stopped_ours_text(at) "{at}. Seitdem wird nichts gelesen, gespeichert oder herausgegeben.";
    stopped_at(at) "Beendet um {at}; Ihre Bank hat es noch nicht bestätigt.";
    stopped_bank_pending(bank) "{bank} hat noch nicht bestätigt";
    stopped_bank_pending_text() "Wir haben es Ihrer Bank gesagt und fragen weiter, bis sie antwortet. Sie müssen nicht warten.";
    stopped_bank_confirmed(bank) "{bank} hat bestätigt";
    stopped_bank_confirmed_text(at) "{at}. Auch dort ist die Erlaubnis beendet.";
    stopped_bank_unconfirmed(bank) "{bank} hat nicht bestätigt";
    stopped_bank_unconfirmed_text() "Auf unserer Seite ist trotzdem Schluss. Sie können die Erlaubnis auch in Ihrem Online-Banking unter den verbundenen Diensten entfernen.";
    stopped_erasing() "Ihre Daten werden gelöscht";
    stopped_erasing_text() "Das dauert einen Moment. Diese Seite sieht von selbst wieder nach.";
    stopped_erased() "Ihre Daten sind gelöscht";
    stopped_erased_text(at) "{at}. Auch der Schlüssel, der sie entschlüsseln könnte, ist vernichtet.";
    stopped_unreadable(at) "Ab {at} sind auch Sicherungskopien nicht mehr lesbar.";
    stopped_held() "Einige Daten bleiben, ohne benutzt zu werden";
    stopped_held_text() "Eine gesetzliche Pflicht verbietet vorerst, sie zu löschen. Niemand kann sie lesen, bis sie endet; dann werden sie gelöscht.";
    stopped_receipt() "Signierte Bescheinigung herunterladen";
    stopped_overview() "Zurück zur Übersicht";
    stopped_kept() "Außer Gebrauch, noch nicht gelöscht";
    stopped_kept_text() "Die Erlaubnis ist von selbst abgelaufen. Niemand kann lesen, was gespeichert war, und nach Ende der Aufbewahrung wird es gelöscht.";
    stopped_readable() "Noch nicht gelöscht";
    stopped_readable_text(product) "Die Erlaubnis ist von selbst abgelaufen. {product} kann bis zum Ende der Aufbewahrung lesen, was gespeichert war; dann wird es gelöscht. Auf Ihrer Übersicht können Sie das jederzeit beenden.";
    account_unnamed() "Konto";
    account_ending(ending) "mit den letzten Stellen {ending}";

    relay_title() "Einen Moment";
    relay_intro() "Ihre Bank hat Sie zurückgeschickt. Diese Seite gibt ihre Antwort weiter und macht dann von selbst weiter.";
    relay_without_script(product) "Ihre Bank gibt ihre Antwort allein dem Browser, und nur ein Skript kann sie weitergeben; in diesem Browser sind Skripte ausgeschaltet. Erlauben Sie sie für diese Seite und laden Sie sie neu, oder schließen Sie die Seite und beginnen Sie in {product} in einem anderen Browser von vorn. Es wurde nichts geteilt.";

    months() "Januar Februar März April Mai Juni Juli August September Oktober November Dezember";
    day(day, month, year) "{day}. {month} {year}";
    switch_label() "Sprache";
    outcome_denied(bank) "Sie haben bei der Bank nicht zugestimmt
{bank} hat uns mitgeteilt, dass Sie Nein gesagt oder die Seite verlassen haben. Nichts wurde geteilt.
Wenn das ein Versehen war, können Sie es noch einmal versuchen.";
    outcome_declined(bank, product) "Nichts wurde geteilt
Sie haben nicht zugestimmt, deshalb wurde {bank} nach nichts gefragt.
Sie können {product} weiter benutzen und später verbinden.";
    outcome_timed_out(bank, minutes) "Das hat zu lange gedauert
Zu Ihrer Sicherheit muss eine Anmeldung bei {bank} innerhalb von {minutes} Minuten beendet sein. Nichts wurde geteilt.
Bitte versuchen Sie es noch einmal; halten Sie Ihre Banking-App oder Ihr TAN-Gerät bereit.";
    outcome_bank_error(bank) "Die Bank hat einen Fehler gemeldet
{bank} konnte Ihre Anmeldung nicht abschließen. Das liegt nicht an Ihnen, und nichts wurde geteilt.
Bitte versuchen Sie es in ein paar Minuten noch einmal.";
    outcome_bank_unavailable(bank) "Die Bank ist nicht erreichbar
{bank} antwortet im Moment nicht. Nichts wurde geteilt.
Bitte versuchen Sie es später noch einmal.";
    outcome_came_twice(bank) "Hier waren Sie schon
Diese Antwort von {bank} ist schon verwendet; sie noch einmal zu öffnen ändert nichts. Das passiert, wenn eine Seite neu geladen wird.
Ihre Verbindung ist, wie sie war.";
    outcome_other_browser(bank) "Bitte machen Sie dort weiter, wo Sie begonnen haben
Sie haben in einem Browser begonnen, und {bank} hat Sie in einen anderen zurückgeschickt. Damit niemand Ihr Konto mit seinem verbinden kann, haben wir hier angehalten; nichts wurde geteilt.
Beginnen Sie in diesem Browser von vorn und kommen Sie aus Ihrer Banking-App in ihn zurück.";
    outcome_not_trusted(bank) "Dieser Antwort war nicht zu trauen
Was zurückkam, bewies nicht, dass es von {bank} stammt; es wurde verworfen. Nichts wurde geteilt.
Bitte versuchen Sie es noch einmal. Wenn Sie diese Seite zweimal sehen, sagen Sie es uns.";
    outcome_unknown() "Diesen Besuch kennen wir nicht
Auf diese Seite wartet keine Anmeldung bei einer Bank. Sie kann längst vorbei sein, oder die Adresse wurde abgeschnitten. Durch das Öffnen wurde nichts geteilt.
Wenn Sie auf dem Weg zu Ihrer Bank waren, beginnen Sie von vorn.";
    outcome_awaits_signers(bank, product) "Andere müssen auch unterschreiben
{bank} hat Ihre Unterschrift. Ihre Konten dort verlangen mehr als eine, deshalb gilt sie noch nicht.
Bitten Sie die anderen, im eigenen Onlinebanking bei {bank} zu unterschreiben. Wir sehen von Zeit zu Zeit nach, und {product} erfährt, wenn es so weit ist; Sie müssen hier nicht warten.";
    outcome_awaits_psu(bank, minutes) "Bestätigen Sie bei {bank}
{bank} bittet Sie um Ihre Bestätigung, in der App oder auf der eigenen Seite. Diese Seite geht von selbst weiter, sobald Sie bestätigt haben.
Nichts angekommen? Öffnen Sie die App von {bank}. Sie haben {minutes} Minuten und können jederzeit neu beginnen.";
    outcome_withdrawn(bank, product) "Diese Anfrage wurde zurückgezogen
Sie endete, bevor {bank} sie bestätigt hatte; nichts wurde geteilt. Was bei {bank} begonnen war, wird auch dort beendet.
Wenn Sie Ihre Bank noch verbinden möchten, beginnen Sie in {product} von vorn.";
    outcome_link_over() "Dieser Link gilt nicht mehr
Ein Link kann einmal benutzt werden, einen Tag lang. Dieser wurde benutzt, ist zu alt oder wurde nicht ganz kopiert.
Sie brauchen einen neuen Link.";
    outcome_signed_out(minutes) "Diese Seite hat Sie vergessen
Zu Ihrer Sicherheit kennt sie Sie {minutes} Minuten lang und nur in dem Browser, in dem Sie begonnen haben. Was Sie bisher getan haben, bleibt.
Ein neuer Link führt Sie weiter.";
    outcome_our_fault() "Bei uns ist etwas schiefgegangen
Das liegt weder an Ihnen noch an Ihrer Bank. Wir wissen davon.
Bitte versuchen Sie es in ein paar Minuten noch einmal.";
    countries() "AT=Österreich;AU=Australien;BE=Belgien;BG=Bulgarien;BR=Brasilien;CH=Schweiz;CY=Zypern;CZ=Tschechien;DE=Deutschland;DK=Dänemark;EE=Estland;ES=Spanien;FI=Finnland;FR=Frankreich;GB=Vereinigtes Königreich;GR=Griechenland;HR=Kroatien;HU=Ungarn;IE=Irland;IS=Island;IT=Italien;LI=Liechtenstein;LT=Litauen;LU=Luxemburg;LV=Lettland;MT=Malta;NL=Niederlande;NO=Norwegen;PL=Polen;PT=Portugal;RO=Rumänien;SE=Schweden;SI=Slowenien;SK=Slowakei;US=Vereinigte Staaten";
} }
