# Anmelden: der zweite Faktor.
second-factor = Zweiter Faktor
second-factor-is-on = Ein
second-factor-is-off = Aus
second-factor-text = Mit einem zweiten Faktor braucht das Anmelden außer dem Passwort einen Code aus einer Authenticator-App auf Ihrem Telefon: Wer nur das Passwort erfährt, kann sich nicht anmelden.
second-factor-required = Hier ist ein zweiter Faktor vorgeschrieben. Bitte richten Sie Ihren ein: Danach ist alles andere offen.
second-factor-set-up = Zweiten Faktor einrichten
second-factor-scan = In den Authenticator aufnehmen
second-factor-scan-text = Scannen Sie dieses Bild mit einer Authenticator-App, etwa Aegis, FreeOTP, Google Authenticator oder 1Password.
second-factor-picture = QR-Code mit dem Geheimnis, das darunter steht
second-factor-secret = Oder geben Sie dieses Geheimnis von Hand ein. Es wird gezeigt, bis Sie es bestätigt haben, und danach nie wieder.
second-factor-switch-on = Einschalten
second-factor-again = Von vorn beginnen
second-factor-again-text = Erzeugt ein anderes Geheimnis. Was Ihr Authenticator von diesem hat, kann dort gelöscht werden.
second-factor-new-secret = Anderes Geheimnis erzeugen
second-factor-switch-off = Ausschalten
second-factor-off-text = Danach genügt zum Anmelden das Passwort.
second-factor-off-required = Hier ist ein zweiter Faktor vorgeschrieben: Danach richten Sie einen anderen ein, zum Beispiel auf einem neuen Telefon.
done-second-factor-on = Der zweite Faktor ist eingeschaltet. Alle anderen Sitzungen wurden beendet.
done-second-factor-off = Der zweite Faktor ist ausgeschaltet. Alle anderen Sitzungen wurden beendet.
code = Code
field-code = Code:
code-help = Die sechs Ziffern, die der Authenticator jetzt zeigt.
code-or-recovery = Die sechs Ziffern, die Ihr Authenticator zeigt, oder einer Ihrer Ersatzcodes.
wrong-code = ist falsch oder wurde schon benutzt. Der Authenticator zeigt alle 30 Sekunden einen anderen.
sign-in-code = { $value }, bitte zeigen Sie auch Ihren zweiten Faktor.
sign-in-code-wrong = Dieser Code ist falsch oder wurde schon benutzt. Ihr Authenticator zeigt alle 30 Sekunden einen anderen.
sign-in-other = Als jemand anders anmelden
recovery-codes = Ersatzcodes
recovery-codes-text = Jeder davon meldet Sie einmal an, wenn Ihr Telefon verloren ist. Drucken Sie sie aus oder legen Sie sie in einen Passwortmanager: Sie werden nicht noch einmal gezeigt.
recovery-codes-kept = Ich habe sie aufbewahrt
recovery-codes-left = { $value ->
    [0] Es sind keine Ersatzcodes mehr übrig. Bitte erzeugen Sie neue, damit Sie sich anmelden können, wenn Ihr Telefon verloren ist.
    [1] Ein Ersatzcode ist übrig.
   *[other] { $value } Ersatzcodes sind übrig.
}
recovery-codes-new = Neue Ersatzcodes erzeugen
user-factor = Zweiter Faktor
user-factor-reset = Zweiten Faktor zurücksetzen
user-factor-reset-help = Für jemanden, der Authenticator und Ersatzcodes verloren hat. Stellen Sie sicher, wer fragt: Danach genügt das Passwort, und die Sitzungen des Benutzers enden.

# Der Identitätsanbieter.
sign-in-provider = Bei { $value } anmelden
sign-in-or = Oder mit einem Passwort:
sign-in-no-passwords = Hier meldet sich niemand mit einem Passwort an. Bitte melden Sie sich beim Identitätsanbieter an.
sign-in-not-begun = Diese Anmeldung wurde nicht in diesem Browser begonnen oder hat zu lange gedauert. Bitte beginnen Sie von vorn.
sign-in-refused = { $host } hat Sie nicht angemeldet. Die Begründung: { $said }
sign-in-token = Was { $host } über Sie sagt, war nicht glaubwürdig; deshalb wurde niemand angemeldet. Bitte beginnen Sie von vorn, und sagen Sie Ihrem Administrator Bescheid, wenn es so bleibt.
sign-in-away = { $host } ist nicht erreichbar oder tut nicht, was es soll. Bitte versuchen Sie es später, und sagen Sie Ihrem Administrator Bescheid, wenn es so bleibt.
sign-in-without-role = Sie sind bekannt, aber hier ist für Sie nichts offen: Ihr Identitätsanbieter gibt Ihnen keine Rolle für diese Konsole. Bitte fragen Sie Ihren Administrator.
sign-in-disabled = Sie dürfen sich hier nicht mehr anmelden. Bitte fragen Sie Ihren Administrator.
sign-in-name-taken = Hier gibt es schon jemand anders namens { $value }. Benutzer werden nie über ihre Namen verbunden: Bitte fragen Sie Ihren Administrator.
sign-in-no-name = Ihr Identitätsanbieter nennt Sie { $value }; das kann hier kein Name sein: 1 bis 64 Zeichen aus A-Z a-z 0-9 . _ - @ +
sign-out-provider-text = Sie sind hier abgemeldet. Bei { $value } sind Sie vielleicht noch angemeldet.
sign-out-provider = Auch bei { $value } abmelden
you-of-provider = Sie melden sich bei { $value } an: Dort liegt Ihr Passwort, und von dort kommt bei jeder Anmeldung, was Sie hier dürfen.
user-of-provider = Dieser Benutzer meldet sich bei { $value } an; von dort kommt bei jeder Anmeldung, was er darf.

# Warum eine Änderung an einem Benutzer abgelehnt wurde.
reason-NO_SECOND_FACTOR = Der Benutzer hat keinen zweiten Faktor.
reason-USER_OF_PROVIDER = Der Benutzer meldet sich bei einem Identitätsanbieter an; was er darf, wird dort geändert.
