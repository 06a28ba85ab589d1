//! The French texts of the pages. Entry by entry the same as the English ones.

use super::language::table;

table! { Fr {
    language() "fr";
    consent_version() "fr-2";
    skip() "Aller au contenu";
    for_product(product) "pour {product}";
    steps_label() "Avancement";
    step_bank() "Banque";
    step_permission() "Autorisation";
    step_at_bank() "Chez votre banque";
    step_done() "Terminé";
    footer_tpp(tpp, authorisation) "{tpp} est le prestataire agréé responsable de cette page ({authorisation}).";
    footer_password() "Vous vous connectez chez votre banque. Nous ne voyons jamais votre mot de passe.";
    footer_support() "Questions et réclamations";
    footer_privacy() "Protection des données";

    landing_title() "Connecter votre banque";
    landing_title_at(bank) "Connecter votre compte chez {bank}";
    landing_intro(product, tpp) "{product} demande à {tpp} de connecter votre compte bancaire. Rien n’est partagé avant que vous ayez lu pourquoi et donné votre accord.";
    landing_step_choose() "Choisir votre banque";
    landing_step_bank(bank) "Votre banque : {bank}";
    landing_step_read() "Lire ce qui serait partagé, avec qui et pour combien de temps";
    landing_step_confirm() "Confirmer chez votre banque, sur sa propre page";
    landing_stop() "Vous pouvez arrêter à tout moment ; ce qui a été lu est alors effacé.";
    landing_begin() "Commencer";

    picker_title() "Choisir votre banque";
    picker_search() "Nom de votre banque, ou son BIC";
    picker_go() "Chercher";
    picker_results() "Banques";
    picker_sandbox() "Système de test";
    picker_none(query) "Aucune banque ne correspond à « {query} ».";
    picker_none_help() "Vérifiez l’orthographe, ou cherchez une partie du nom. Une banque qui n’est pas dans la liste ne peut pas encore être connectée.";
    picker_empty() "Aucune banque ne peut être connectée pour le moment. Revenez plus tard, s’il vous plaît.";
    picker_left_off(count) "{count} autres correspondent. Écrivez davantage du nom pour trouver la vôtre.";

    consent_title(bank) "Ce que vous partagez de {bank}";
    consent_intro(product, tpp, bank) "{product} voudrait voir des données de vos comptes chez {bank}. {tpp} les lit pour cela, et seulement avec votre autorisation.";
    consent_purpose() "À quoi cela sert";
    consent_purpose_limit(product) "{product} ne peut utiliser ces données pour rien d’autre.";
    consent_data() "Ce qui est partagé";
    consent_data_limit() "Rien d’autre. Personne ne peut faire un paiement ni changer quoi que ce soit à votre compte, et personne d’autre que votre banque ne voit votre mot de passe.";
    consent_cluster_accounts() "Comptes";
    consent_cluster_accounts_detail() "nom, numéro, type et devise";
    consent_cluster_holder() "Titulaire";
    consent_cluster_holder_detail() "le nom du titulaire du compte";
    consent_cluster_balances() "Soldes";
    consent_cluster_balances_detail() "ce qui est sur le compte et ce qui est disponible";
    consent_cluster_transactions() "Opérations";
    consent_cluster_transactions_detail() "montant, date, l’autre partie et le libellé, aussi loin que votre banque les donne";
    consent_cluster_transactions_days(days) "montant, date, l’autre partie et le libellé, depuis les {days} derniers jours";
    consent_term() "Pour combien de temps";
    consent_term_once() "Les données sont lues une fois, maintenant. Ensuite l’autorisation est épuisée.";
    consent_term_until(date) "Jusqu’au {date}, sauf si vous arrêtez avant.";
    consent_term_unattended(reads) "De nouvelles données sont lues au plus {reads} fois par jour en votre absence, et chaque fois que vous le demandez.";
    consent_term_confirm(days) "Votre banque vous demande de confirmer à nouveau tous les {days} jours environ. Sans cela, la lecture s’arrête.";
    consent_instead_replaces(bank) "{bank} n’admet qu’une autorisation à la fois. Celle-ci prend la place de la précédente ; ce qui a été lu reste.";
    consent_instead_renews(bank) "{bank} n’admet qu’une autorisation à la fois. En confirmant là-bas, vous renouvelez aussi les autorisations déjà données ; elles continuent telles quelles.";
    elsewhere_shared(bank) "{bank} n’admet qu’une autorisation à la fois, et un autre service semble en avoir déjà une. Si c’est vous qui l’avez donnée, les deux continuent sous la nouvelle : l’autre service lit ce qu’il lisait jusqu’ici, et rien de plus.";
    elsewhere_ends(bank) "{bank} n’admet qu’une autorisation à la fois, et un autre service semble en avoir déjà une. Si c’est vous qui l’avez donnée, la banque y met fin dès que vous confirmez là-bas. L’autre service garde ce qu’il a lu, ne lit plus rien de nouveau et devra vous demander de confirmer à nouveau.";
    consent_who() "Qui les reçoit";
    consent_who_product(product) "{product}, le produit d’où vous venez";
    consent_who_tpp(tpp, authorisation) "{tpp}, le prestataire qui lit les données et les garde chiffrées ({authorisation})";
    consent_who_intermediary(name, bank, tpp) "{name}, qui se connecte chez {bank} pour {tpp} et transmet les données. Ce que {name} en conserve, seul {name} peut le dire ; les reçus de {tpp} ne le prouvent pas.";
    consent_who_limit() "Personne d’autre.";
    consent_stop() "Comment arrêter";
    consent_stop_where(product, tpp) "À tout moment et sans frais : sur votre page d’aperçu chez {tpp}, dans {product}, ou chez votre banque.";
    consent_stop_effect() "La lecture s’arrête aussitôt et ce qui a été lu est effacé ; vous pouvez en avoir un reçu signé. Seule la trace de cette autorisation est gardée, comme la loi le demande.";
    consent_stop_effect_held(days) "La lecture s’arrête aussitôt et personne n’utilise plus ce qui a été lu. Une loi nous oblige à le garder encore {days} jours ; puis il est effacé, et vous pouvez en avoir un reçu signé. La trace de cette autorisation est gardée plus longtemps, comme la loi le demande.";
    consent_stop_effect_held_day() "La lecture s’arrête aussitôt et personne n’utilise plus ce qui a été lu. Une loi nous oblige à le garder encore un jour ; puis il est effacé, et vous pouvez en avoir un reçu signé. La trace de cette autorisation est gardée plus longtemps, comme la loi le demande.";
    consent_end_blocked(days) "Si l’autorisation prend fin d’elle-même, personne ne peut lire ce qui était gardé, et tout est effacé après {days} jours.";
    consent_end_blocked_day() "Si l’autorisation prend fin d’elle-même, personne ne peut lire ce qui était gardé, et tout est effacé un jour après.";
    consent_end_readable(product, days) "Si l’autorisation prend fin d’elle-même, {product} peut lire ce qui était gardé encore {days} jours, sauf si vous l’arrêtez ; puis tout est effacé.";
    consent_end_readable_day(product) "Si l’autorisation prend fin d’elle-même, {product} peut lire ce qui était gardé encore un jour, sauf si vous l’arrêtez ; puis tout est effacé.";
    consent_end_erased() "Si l’autorisation prend fin d’elle-même, ce qui était gardé est effacé aussitôt.";
    consent_acknowledge(tpp, bank, product) "J’ai lu ceci. J’accepte que {tpp} lise ces données me concernant chez {bank} et les donne à {product} à cette fin.";
    consent_accept(bank) "Accepter et aller chez {bank}";
    consent_decline() "Non, revenir";
    login_name(bank) "Votre identifiant chez {bank}";
    login_name_why(bank) "{bank} vous le demande dans son application et doit savoir à qui. L’identifiant ne va qu’à {bank} et n’est pas conservé. N’écrivez jamais votre mot de passe ici.";
    login_name_missing(bank) "Écrivez l’identifiant avec lequel vous vous connectez chez {bank}.";
    consent_missing() "Cochez la case pour accepter, ou revenez sans accepter.";
    consent_next(bank) "Ensuite vous vous connectez chez {bank}, sur sa propre page, et y choisissez les comptes.";

    return_what_next() "Ce que vous pouvez faire";
    return_restart() "Réessayer";
    return_overview() "Voir ce qui est connecté";
    return_product(product) "Retour à {product}";
    return_by_hand(product) "Fermez cette page et recommencez depuis {product}.";
    return_reference(reference) "Si vous demandez de l’aide, indiquez {reference}.";
    your_bank() "votre banque";

    connected_title(bank) "{bank} est connectée";
    connected_intro(product) "{product} peut maintenant voir ces comptes.";
    connected_reading(product) "Les premières données sont en cours de lecture ; {product} les montre dans un instant. Cette page se met à jour d’elle-même.";
    connected_until(date) "Jusqu’au {date}, sauf si vous arrêtez avant.";
    connected_once() "Lues une fois ; l’autorisation est épuisée.";
    connected_accounts() "Comptes connectés";
    connected_stop_hint() "Vous pouvez à tout moment voir et arrêter ce que vous partagez.";

    overview_title() "Ce que vous partagez";
    overview_intro(tpp, product) "Ce que {tpp} lit chez vos banques pour {product}, et jusqu’à quand.";
    overview_nothing() "Vous ne partagez rien pour le moment.";
    overview_nothing_help() "Quand vous connectez une banque, vous la trouvez ici.";
    overview_with(product) "partagé avec {product}";
    overview_active() "Active";
    overview_needs_you() "Attend votre action";
    overview_ended() "Terminée";
    overview_purpose() "Pour";
    overview_data() "Données";
    overview_erasure() "Effacement";
    overview_accounts() "Comptes";
    overview_since() "Depuis";
    overview_until() "Jusqu’au";
    overview_until_stopped() "jusqu’à ce que vous arrêtiez";
    overview_last_read() "Dernière lecture";
    overview_never_read() "pas encore";
    overview_ended_at() "Arrêtée";
    overview_needs_you_text(bank) "{bank} veut vous revoir avant que davantage soit lu. Ce qui a été lu jusqu’ici reste tel quel.";
    overview_soon_text(bank) "{bank} voudra bientôt vous revoir. Confirmez à temps et la lecture continue sans interruption.";
    overview_renew(bank) "Confirmer chez {bank}";
    overview_reconfirm_text(bank, product) "Vous n’avez pas confirmé depuis 90 jours, donc plus rien n’est lu chez {bank}. Voulez-vous continuer à partager ces données avec {product} ? Vous n’avez pas besoin d’aller chez votre banque.";
    overview_reconfirm_soon_text(product) "Tous les 90 jours nous demandons : voulez-vous continuer à partager ces données avec {product} ? Vous n’avez pas besoin d’aller chez votre banque.";
    overview_reconfirm() "Oui, continuer à partager";
    overview_stop(bank) "Ne plus rien partager de {bank}";
    overview_stop_ask(bank, product) "{product} perd l’accès aussitôt, et tout ce qui a été lu chez {bank} pour lui est effacé. On ne peut pas revenir en arrière ; vous pourrez vous connecter à nouveau plus tard.";
    overview_stop_confirm() "Arrêter et effacer";
    overview_remove() "Ne plus partager un compte";
    overview_remove_ask(product) "{product} le perd aussitôt, et ce qui y a été lu est effacé. Vos autres comptes restent comme ils sont.";
    overview_remove_which() "Quel compte ?";
    overview_remove_confirm() "Retirer et effacer";

    stopped_title(bank) "Vous ne partagez plus de données de {bank}";
    stopped_intro(product) "{product} n’a plus d’accès.";
    stopped_progress() "Ce qui s’est passé";
    stopped_ours() "Arrêté de notre côté";
    stopped_ours_text(at) "{at}. Depuis, rien n’est lu, gardé ni transmis.";
    stopped_at(at) "Arrêté le {at} ; votre banque n’a pas encore confirmé.";
    stopped_bank_pending(bank) "{bank} n’a pas encore confirmé";
    stopped_bank_pending_text() "Nous l’avons dit à votre banque et continuons de demander jusqu’à sa réponse. Vous n’avez pas à attendre.";
    stopped_bank_confirmed(bank) "{bank} a confirmé";
    stopped_bank_confirmed_text(at) "{at}. L’autorisation est terminée là-bas aussi.";
    stopped_bank_unconfirmed(bank) "{bank} n’a pas confirmé";
    stopped_bank_unconfirmed_text() "De notre côté tout est arrêté malgré cela. Vous pouvez aussi retirer l’autorisation dans votre banque en ligne, parmi les services connectés.";
    stopped_erasing() "Vos données sont en cours d’effacement";
    stopped_erasing_text() "Cela prend un instant. Cette page se met à jour d’elle-même.";
    stopped_erased() "Vos données sont effacées";
    stopped_erased_text(at) "{at}. La clé qui pourrait les déchiffrer est détruite elle aussi.";
    stopped_unreadable(at) "À partir du {at}, les sauvegardes ne peuvent plus être lues non plus.";
    stopped_held() "Certaines données sont gardées hors d’usage";
    stopped_held_text() "Une obligation légale interdit pour l’instant de les effacer. Personne ne peut les lire jusqu’à sa fin ; elles sont alors effacées.";
    stopped_receipt() "Télécharger le reçu signé";
    stopped_overview() "Retour à votre aperçu";
    stopped_kept() "Hors d’usage, pas encore effacées";
    stopped_kept_text() "L’autorisation a pris fin d’elle-même. Personne ne peut lire ce qui était gardé, et tout est effacé à la fin de la durée de conservation.";
    stopped_readable() "Pas encore effacées";
    stopped_readable_text(product) "L’autorisation a pris fin d’elle-même. {product} peut lire ce qui était gardé jusqu’à la fin de la durée de conservation ; puis tout est effacé. Vous pouvez l’arrêter à tout moment sur votre page d’aperçu.";
    account_unnamed() "Compte";
    account_ending(ending) "se terminant par {ending}";

    relay_title() "Un instant";
    relay_intro() "Votre banque vous a renvoyé ici. Cette page transmet sa réponse, puis continue d’elle-même.";
    relay_without_script(product) "Votre banque ne donne sa réponse qu’au navigateur, et il faut un script pour la transmettre ; dans ce navigateur, les scripts sont désactivés. Autorisez-les pour cette page et rechargez-la, ou fermez-la et recommencez depuis {product} dans un autre navigateur. Rien n’a été partagé.";

    months() "janvier février mars avril mai juin juillet août septembre octobre novembre décembre";
    day(day, month, year) "{day} {month} {year}";
    switch_label() "Langue";
    outcome_denied(bank) "Vous n’avez pas accepté chez la banque
{bank} nous a dit que vous avez refusé ou quitté sa page. Rien n’a été partagé.
Si c’était une erreur, vous pouvez réessayer.";
    outcome_declined(bank, product) "Rien n’a été partagé
Vous n’avez pas accepté, donc rien n’a été demandé à {bank}.
Vous pouvez continuer à utiliser {product} et vous connecter plus tard.";
    outcome_timed_out(bank, minutes) "Cela a pris trop de temps
Pour votre sécurité, une connexion chez {bank} doit être terminée en {minutes} minutes. Rien n’a été partagé.
Veuillez réessayer, avec votre application bancaire à portée de main.";
    outcome_bank_error(bank) "La banque a signalé une erreur
{bank} n’a pas pu terminer votre connexion. Vous n’y êtes pour rien, et rien n’a été partagé.
Veuillez réessayer dans quelques minutes.";
    outcome_bank_unavailable(bank) "La banque ne peut être jointe
{bank} ne répond pas pour le moment. Rien n’a été partagé.
Veuillez réessayer plus tard.";
    outcome_came_twice(bank) "Vous êtes déjà venu ici
Cette réponse de {bank} a déjà servi ; l’ouvrir à nouveau ne change rien. Cela arrive quand une page est rechargée.
Votre connexion est telle qu’elle était.";
    outcome_other_browser(bank) "Continuez là où vous avez commencé
Vous avez commencé dans un navigateur et {bank} vous a renvoyé dans un autre. Pour que personne ne puisse connecter votre compte au sien, nous nous sommes arrêtés ici ; rien n’a été partagé.
Recommencez dans ce navigateur, et revenez-y depuis votre application bancaire.";
    outcome_not_trusted(bank) "Cette réponse n’était pas digne de confiance
Ce qui est revenu ne prouvait pas venir de {bank}, et a donc été jeté. Rien n’a été partagé.
Veuillez réessayer. Si vous voyez cette page deux fois, dites-le-nous.";
    outcome_unknown() "Nous ne connaissons pas cette visite
Aucune connexion à une banque n’attend cette page. Elle est peut-être finie depuis longtemps, ou l’adresse a été coupée. L’ouvrir n’a rien partagé.
Si vous étiez en route vers votre banque, recommencez.";
    outcome_awaits_signers(bank, product) "D’autres doivent signer aussi
{bank} a votre signature. Vos comptes en demandent plus d’une ; elle ne compte donc pas encore.
Demandez aux autres de signer dans leur propre banque en ligne chez {bank}. Nous regardons de temps en temps, et {product} est prévenu quand c’est fait ; inutile d’attendre ici.";
    outcome_awaits_psu(bank, minutes) "Confirmez auprès de {bank}
{bank} vous demande de confirmer, dans son application ou sur sa page. Cette page continue d’elle-même dès que c’est fait.
Rien reçu ? Ouvrez l’application de {bank}. Vous avez {minutes} minutes et pouvez recommencer à tout moment.";
    outcome_withdrawn(bank, product) "Cette demande a été retirée
Elle a pris fin avant que {bank} ne l’ait confirmée ; rien n’a été partagé. Ce qui était commencé chez {bank} y est terminé aussi.
Si vous voulez toujours connecter votre banque, recommencez depuis {product}.";
    outcome_link_over() "Ce lien n’est plus valable
Un lien sert une fois, pendant un jour. Celui-ci a servi, est trop ancien, ou n’a pas été copié en entier.
Il vous faut un nouveau lien.";
    outcome_signed_out(minutes) "Cette page vous a oublié
Pour votre sécurité, elle vous connaît {minutes} minutes, et seulement dans le navigateur où vous avez commencé. Ce que vous avez fait jusqu’ici est gardé.
Un nouveau lien vous mène plus loin.";
    outcome_our_fault() "Quelque chose n’a pas marché chez nous
Ni vous ni votre banque n’y êtes pour rien. Nous en avons été avertis.
Veuillez réessayer dans quelques minutes.";
    countries() "AT=Autriche;AU=Australie;BE=Belgique;BG=Bulgarie;BR=Brésil;CH=Suisse;CY=Chypre;CZ=Tchéquie;DE=Allemagne;DK=Danemark;EE=Estonie;ES=Espagne;FI=Finlande;FR=France;GB=Royaume-Uni;GR=Grèce;HR=Croatie;HU=Hongrie;IE=Irlande;IS=Islande;IT=Italie;LI=Liechtenstein;LT=Lituanie;LU=Luxembourg;LV=Lettonie;MT=Malte;NL=Pays-Bas;NO=Norvège;PL=Pologne;PT=Portugal;RO=Roumanie;SE=Suède;SI=Slovénie;SK=Slovaquie;US=États-Unis";
} }
