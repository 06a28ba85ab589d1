//! The Spanish texts of the pages. Entry by entry the same as the English ones.

use super::language::table;

table! { Es {
    language() "es";
    consent_version() "es-2";
    skip() "Ir al contenido";
    for_product(product) "para {product}";
    steps_label() "Progreso";
    step_bank() "Banco";
    step_permission() "Permiso";
    step_at_bank() "En su banco";
    step_done() "Listo";
    footer_tpp(tpp, authorisation) "{tpp} es el proveedor autorizado responsable de esta página ({authorisation}).";
    footer_password() "Usted inicia sesión en su banco. Nunca vemos su contraseña.";
    footer_support() "Preguntas y reclamaciones";
    footer_privacy() "Aviso de privacidad";

    landing_title() "Conectar su banco";
    landing_title_at(bank) "Conectar su cuenta en {bank}";
    landing_intro(product, tpp) "{product} pide a {tpp} que conecte su cuenta bancaria. Nada se comparte hasta que haya leído para qué y esté de acuerdo.";
    landing_step_choose() "Elegir su banco";
    landing_step_bank(bank) "Su banco: {bank}";
    landing_step_read() "Leer qué se compartiría, con quién y por cuánto tiempo";
    landing_step_confirm() "Confirmar en su banco, en la página del propio banco";
    landing_stop() "Puede parar en cualquier momento, y lo leído se borra entonces.";
    landing_begin() "Empezar";

    picker_title() "Elegir su banco";
    picker_search() "Nombre de su banco, o su BIC";
    picker_go() "Buscar";
    picker_results() "Bancos";
    picker_sandbox() "Sistema de pruebas";
    picker_none(query) "Ningún banco coincide con «{query}».";
    picker_none_help() "Compruebe la ortografía o busque una parte del nombre. Un banco que no aparece aquí todavía no se puede conectar.";
    picker_empty() "En este momento no se puede conectar ningún banco. Vuelva más tarde, por favor.";
    picker_left_off(count) "Coinciden {count} más. Escriba más del nombre para encontrar el suyo.";

    consent_title(bank) "Lo que comparte de {bank}";
    consent_intro(product, tpp, bank) "{product} quiere ver datos de sus cuentas en {bank}. {tpp} los lee para ello, y solo con su permiso.";
    consent_purpose() "Para qué";
    consent_purpose_limit(product) "{product} no puede usar los datos para nada más.";
    consent_data() "Qué se comparte";
    consent_data_limit() "Nada más. Nadie puede hacer un pago ni cambiar nada en su cuenta, y nadie salvo su banco ve su contraseña.";
    consent_cluster_accounts() "Cuentas";
    consent_cluster_accounts_detail() "nombre, número, tipo y moneda";
    consent_cluster_holder() "Titular";
    consent_cluster_holder_detail() "el nombre del titular de la cuenta";
    consent_cluster_balances() "Saldos";
    consent_cluster_balances_detail() "lo que hay en la cuenta y lo que está disponible";
    consent_cluster_transactions() "Movimientos";
    consent_cluster_transactions_detail() "importe, fecha, la otra parte y el texto, hasta donde su banco los dé";
    consent_cluster_transactions_days(days) "importe, fecha, la otra parte y el texto, desde los últimos {days} días";
    consent_term() "Por cuánto tiempo";
    consent_term_once() "Los datos se leen una vez, ahora. Después el permiso queda agotado.";
    consent_term_until(date) "Hasta el {date}, si no para antes.";
    consent_term_unattended(reads) "Los datos nuevos se leen como mucho {reads} veces al día en su ausencia, y siempre que usted lo pida.";
    consent_term_confirm(days) "Su banco le pide que confirme de nuevo cada {days} días aproximadamente. Sin eso, la lectura se detiene.";
    consent_instead_replaces(bank) "{bank} admite un solo permiso a la vez. Este ocupa el lugar del anterior; lo leído con él permanece.";
    consent_instead_renews(bank) "{bank} admite un solo permiso a la vez. Al confirmar allí renueva también los permisos ya dados; siguen tal como están.";
    elsewhere_shared(bank) "{bank} admite un solo permiso a la vez, y otro servicio parece tener ya uno. Si lo dio usted, ambos siguen bajo el nuevo: el otro servicio lee lo que ya leía, y nada más.";
    elsewhere_ends(bank) "{bank} admite un solo permiso a la vez, y otro servicio parece tener ya uno. Si lo dio usted, el banco le pone fin en cuanto confirme allí. El otro servicio conserva lo que ha leído, no lee nada nuevo y tendrá que pedirle que confirme de nuevo.";
    consent_who() "Quién los recibe";
    consent_who_product(product) "{product}, el producto del que viene";
    consent_who_tpp(tpp, authorisation) "{tpp}, el proveedor que lee los datos y los guarda cifrados ({authorisation})";
    consent_who_intermediary(name, bank, tpp) "{name}, que entra en {bank} por {tpp} y transmite los datos. Lo que {name} conserva de ellos solo {name} puede decirlo; los recibos de {tpp} no lo prueban.";
    consent_who_limit() "Nadie más.";
    consent_stop() "Cómo parar";
    consent_stop_where(product, tpp) "En cualquier momento y sin coste: en su página de resumen de {tpp}, en {product} o en su banco.";
    consent_stop_effect() "La lectura se detiene enseguida y lo leído se borra; puede tener un recibo firmado de ello. Solo se conserva el registro de este permiso, como pide la ley.";
    consent_stop_effect_held(days) "La lectura se detiene enseguida y nadie usa ya lo leído. Una ley nos obliga a guardarlo {days} días más; después se borra, y puede tener un recibo firmado de ello. El registro de este permiso se conserva más tiempo, como pide la ley.";
    consent_stop_effect_held_day() "La lectura se detiene enseguida y nadie usa ya lo leído. Una ley nos obliga a guardarlo un día más; después se borra, y puede tener un recibo firmado de ello. El registro de este permiso se conserva más tiempo, como pide la ley.";
    consent_end_blocked(days) "Si el permiso termina por sí solo, nadie puede leer lo guardado, y se borra a los {days} días.";
    consent_end_blocked_day() "Si el permiso termina por sí solo, nadie puede leer lo guardado, y se borra al día siguiente.";
    consent_end_readable(product, days) "Si el permiso termina por sí solo, {product} puede leer lo guardado {days} días más, si usted no lo detiene; después se borra.";
    consent_end_readable_day(product) "Si el permiso termina por sí solo, {product} puede leer lo guardado un día más, si usted no lo detiene; después se borra.";
    consent_end_erased() "Si el permiso termina por sí solo, lo guardado se borra enseguida.";
    consent_acknowledge(tpp, bank, product) "He leído esto. Acepto que {tpp} lea estos datos míos en {bank} y los dé a {product} para este fin.";
    consent_accept(bank) "Aceptar e ir a {bank}";
    consent_decline() "No, volver";
    login_name(bank) "Su usuario en {bank}";
    login_name_why(bank) "{bank} se lo pregunta en su aplicación y tiene que saber a quién. El usuario va solo a {bank} y no se guarda. No escriba nunca su contraseña aquí.";
    login_name_missing(bank) "Escriba el usuario con el que entra en {bank}.";
    consent_missing() "Marque la casilla para aceptar, o vuelva sin aceptar.";
    consent_next(bank) "A continuación inicia sesión en {bank}, en su propia página, y elige allí las cuentas.";

    return_what_next() "Qué puede hacer";
    return_restart() "Intentarlo de nuevo";
    return_overview() "Ver lo que está conectado";
    return_product(product) "Volver a {product}";
    return_by_hand(product) "Cierre esta página y empiece de nuevo desde {product}.";
    return_reference(reference) "Si pide ayuda, indique {reference}.";
    your_bank() "su banco";

    connected_title(bank) "{bank} está conectado";
    connected_intro(product) "{product} ya puede ver estas cuentas.";
    connected_reading(product) "Se están leyendo los primeros datos; {product} los muestra en un momento. Esta página se actualiza sola.";
    connected_until(date) "Hasta el {date}, si no para antes.";
    connected_once() "Leído una vez; el permiso está agotado.";
    connected_accounts() "Cuentas conectadas";
    connected_stop_hint() "Puede ver y detener lo que comparte en cualquier momento.";

    overview_title() "Lo que comparte";
    overview_intro(tpp, product) "Lo que {tpp} lee de sus bancos para {product}, y hasta cuándo.";
    overview_nothing() "Ahora mismo no comparte nada.";
    overview_nothing_help() "Cuando conecte un banco, lo encontrará aquí.";
    overview_with(product) "compartido con {product}";
    overview_active() "Activo";
    overview_needs_you() "Le necesita";
    overview_ended() "Terminado";
    overview_purpose() "Para";
    overview_data() "Datos";
    overview_erasure() "Borrado";
    overview_accounts() "Cuentas";
    overview_since() "Desde";
    overview_until() "Hasta";
    overview_until_stopped() "hasta que usted pare";
    overview_last_read() "Última lectura";
    overview_never_read() "todavía no";
    overview_ended_at() "Detenido";
    overview_needs_you_text(bank) "{bank} quiere verle de nuevo antes de que se lea más. Lo leído hasta ahora queda como está.";
    overview_soon_text(bank) "{bank} querrá verle pronto. Confirme a tiempo y la lectura sigue sin interrupción.";
    overview_renew(bank) "Confirmar en {bank}";
    overview_reconfirm_text(bank, product) "Hace 90 días que no confirma, por eso ya no se lee nada de {bank}. ¿Quiere seguir compartiendo estos datos con {product}? No tiene que ir a su banco.";
    overview_reconfirm_soon_text(product) "Cada 90 días preguntamos: ¿quiere seguir compartiendo estos datos con {product}? No tiene que ir a su banco.";
    overview_reconfirm() "Sí, seguir compartiendo";
    overview_stop(bank) "Dejar de compartir de {bank}";
    overview_stop_ask(bank, product) "{product} pierde el acceso enseguida, y todo lo leído de {bank} para él se borra. No se puede deshacer; puede volver a conectar más tarde.";
    overview_stop_confirm() "Parar y borrar";
    overview_remove() "Dejar de compartir una cuenta";
    overview_remove_ask(product) "{product} la pierde enseguida, y lo leído de ella se borra. Sus otras cuentas siguen como están.";
    overview_remove_which() "¿Qué cuenta?";
    overview_remove_confirm() "Quitar y borrar";

    stopped_title(bank) "Ya no comparte datos de {bank}";
    stopped_intro(product) "{product} ha perdido el acceso.";
    stopped_progress() "Qué ha pasado";
    stopped_ours() "Detenido por nuestra parte";
    stopped_ours_text(at) "{at}. Desde entonces no se lee, guarda ni entrega nada.";
    stopped_at(at) "Detenido el {at}; su banco todavía no lo ha confirmado.";
    stopped_bank_pending(bank) "{bank} todavía no ha confirmado";
    stopped_bank_pending_text() "Se lo hemos dicho a su banco y seguimos preguntando hasta que responda. No hace falta que espere.";
    stopped_bank_confirmed(bank) "{bank} ha confirmado";
    stopped_bank_confirmed_text(at) "{at}. El permiso ha terminado también allí.";
    stopped_bank_unconfirmed(bank) "{bank} no ha confirmado";
    stopped_bank_unconfirmed_text() "Por nuestra parte está detenido de todos modos. También puede retirar el permiso en su banca en línea, entre los servicios conectados.";
    stopped_erasing() "Sus datos se están borrando";
    stopped_erasing_text() "Tarda un momento. Esta página se actualiza sola.";
    stopped_erased() "Sus datos están borrados";
    stopped_erased_text(at) "{at}. La clave que podría descifrarlos también está destruida.";
    stopped_unreadable(at) "A partir del {at} tampoco se pueden leer las copias de seguridad.";
    stopped_held() "Algunos datos se guardan fuera de uso";
    stopped_held_text() "Una obligación legal impide borrarlos por ahora. Nadie puede leerlos hasta que termine; entonces se borran.";
    stopped_receipt() "Descargar el recibo firmado";
    stopped_overview() "Volver a su resumen";
    stopped_kept() "Fuera de uso, todavía no borrados";
    stopped_kept_text() "El permiso terminó por sí solo. Nadie puede leer lo guardado, y se borra cuando acaba su plazo de conservación.";
    stopped_readable() "Todavía no borrados";
    stopped_readable_text(product) "El permiso terminó por sí solo. {product} puede leer lo guardado hasta que acabe su plazo de conservación; después se borra. Puede detenerlo en su resumen cuando quiera.";
    account_unnamed() "Cuenta";
    account_ending(ending) "terminada en {ending}";

    relay_title() "Un momento";
    relay_intro() "Su banco le ha enviado de vuelta. Esta página transmite su respuesta y sigue sola.";
    relay_without_script(product) "Su banco da su respuesta solo al navegador, y hace falta un script para transmitirla; en este navegador los scripts están desactivados. Permítalos para esta página y vuelva a cargarla, o ciérrela y empiece de nuevo desde {product} en otro navegador. No se ha compartido nada.";

    months() "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre";
    day(day, month, year) "{day} de {month} de {year}";
    switch_label() "Idioma";
    outcome_denied(bank) "No ha aceptado en el banco
{bank} nos dijo que usted se negó o dejó su página. No se ha compartido nada.
Si fue un error, puede intentarlo de nuevo.";
    outcome_declined(bank, product) "No se ha compartido nada
Usted no aceptó, así que no se pidió nada a {bank}.
Puede seguir usando {product} y conectar más tarde.";
    outcome_timed_out(bank, minutes) "Ha tardado demasiado
Por su seguridad, un inicio de sesión en {bank} debe terminar en {minutes} minutos. No se ha compartido nada.
Inténtelo de nuevo, con la aplicación de su banco a mano.";
    outcome_bank_error(bank) "El banco ha comunicado un error
{bank} no pudo terminar su inicio de sesión. No es culpa suya, y no se ha compartido nada.
Inténtelo de nuevo en unos minutos.";
    outcome_bank_unavailable(bank) "No se puede contactar con el banco
{bank} no responde en este momento. No se ha compartido nada.
Inténtelo de nuevo más tarde.";
    outcome_came_twice(bank) "Ya ha estado aquí
Esta respuesta de {bank} ya se usó; abrirla otra vez no cambia nada. Ocurre cuando se recarga una página.
Su conexión está como estaba.";
    outcome_other_browser(bank) "Siga donde empezó
Empezó en un navegador y {bank} le devolvió a otro. Para que nadie pueda conectar su cuenta a la suya, nos detuvimos aquí; no se ha compartido nada.
Empiece de nuevo en este navegador, y vuelva a él desde la aplicación de su banco.";
    outcome_not_trusted(bank) "No se podía confiar en esta respuesta
Lo que volvió no demostraba que viniera de {bank}, así que se descartó. No se ha compartido nada.
Inténtelo de nuevo. Si ve esta página dos veces, díganoslo.";
    outcome_unknown() "No conocemos esta visita
Ningún inicio de sesión en un banco espera esta página. Puede haber terminado hace tiempo, o la dirección quedó cortada. Al abrirla no se compartió nada.
Si iba camino de su banco, empiece de nuevo.";
    outcome_awaits_signers(bank, product) "Otros también tienen que firmar
{bank} tiene su firma. Sus cuentas allí exigen más de una, así que todavía no cuenta.
Pida a los demás que firmen en su propia banca en línea de {bank}. Miramos de vez en cuando y {product} lo sabrá cuando esté hecho; no hace falta esperar aquí.";
    outcome_awaits_psu(bank, minutes) "Confirme en {bank}
{bank} le pide que confirme, en su aplicación o en su página. Esta página sigue sola en cuanto lo haya hecho.
¿No ha llegado nada? Abra la aplicación de {bank}. Tiene {minutes} minutos y puede empezar de nuevo cuando quiera.";
    outcome_withdrawn(bank, product) "Esta petición se retiró
Terminó antes de que {bank} la confirmara; no se compartió nada. Lo que se había empezado en {bank} también termina allí.
Si todavía quiere conectar su banco, empiece de nuevo desde {product}.";
    outcome_link_over() "Este enlace ya no es válido
Un enlace se puede usar una vez, durante un día. Este ya se usó, es demasiado antiguo o no se copió entero.
Necesita un enlace nuevo.";
    outcome_signed_out(minutes) "Esta página le ha olvidado
Por su seguridad le conoce {minutes} minutos, y solo en el navegador en el que empezó. Lo que ha hecho hasta ahora se conserva.
Un enlace nuevo le permite seguir.";
    outcome_our_fault() "Algo ha fallado por nuestra parte
No es culpa suya ni de su banco. Ya nos han avisado.
Inténtelo de nuevo en unos minutos.";
    countries() "AT=Austria;AU=Australia;BE=Bélgica;BG=Bulgaria;BR=Brasil;CH=Suiza;CY=Chipre;CZ=Chequia;DE=Alemania;DK=Dinamarca;EE=Estonia;ES=España;FI=Finlandia;FR=Francia;GB=Reino Unido;GR=Grecia;HR=Croacia;HU=Hungría;IE=Irlanda;IS=Islandia;IT=Italia;LI=Liechtenstein;LT=Lituania;LU=Luxemburgo;LV=Letonia;MT=Malta;NL=Países Bajos;NO=Noruega;PL=Polonia;PT=Portugal;RO=Rumanía;SE=Suecia;SI=Eslovenia;SK=Eslovaquia;US=Estados Unidos";
} }
