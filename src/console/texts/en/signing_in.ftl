# Signing in: the second factor.
second-factor = Second factor
second-factor-is-on = On
second-factor-is-off = Off
second-factor-text = With a second factor, signing in takes a code from an authenticator on your phone besides the password. A stolen password is not enough then.
second-factor-required = A second factor is required here. Please set yours up: everything else is open afterwards.
second-factor-set-up = Set up a second factor
second-factor-scan = Add it to your authenticator
second-factor-scan-text = Scan this picture with an authenticator, such as Aegis, FreeOTP, Google Authenticator or 1Password.
second-factor-picture = QR code with the secret that is written below
second-factor-secret = Or enter this secret by hand. It is shown until you have confirmed it, and never again.
second-factor-switch-on = Switch on
second-factor-again = Start over
second-factor-again-text = Makes another secret. What your authenticator has of this one can be deleted there.
second-factor-new-secret = Make another secret
second-factor-switch-off = Switch off
second-factor-off-text = Afterwards, the password alone signs in.
second-factor-off-required = A second factor is required here: afterwards you set up another one, on a new phone for example.
done-second-factor-on = The second factor is on. All other sessions were ended.
done-second-factor-off = The second factor is off. All other sessions were ended.
code = Code
field-code = Code:
code-help = The six digits that the authenticator shows now.
code-or-recovery = The six digits that your authenticator shows, or one of your recovery codes.
wrong-code = is wrong, or has been used already. The authenticator shows another one every 30 seconds.
sign-in-code = { $value }, please show your second factor, too.
sign-in-code-wrong = This code is wrong, or has been used already. Your authenticator shows another one every 30 seconds.
sign-in-other = Sign in as someone else
recovery-codes = Recovery codes
recovery-codes-text = Each of these signs you in once when your phone is lost. Print them or keep them in a password manager: they are not shown again.
recovery-codes-kept = I have kept them
recovery-codes-left = { $value ->
    [0] No recovery codes are left. Please make new ones, so that you can sign in when your phone is lost.
    [1] One recovery code is left.
   *[other] { $value } recovery codes are left.
}
recovery-codes-new = Make new recovery codes
user-factor = Second factor
user-factor-reset = Reset the second factor
user-factor-reset-help = For a user whose authenticator and recovery codes are lost. Make sure who asks: afterwards the password alone signs in, and the user's sessions end.

# The identity provider.
sign-in-provider = Sign in at { $value }
sign-in-or = Or by a password:
sign-in-no-passwords = Nobody signs in by a password here. Please sign in at the identity provider.
sign-in-not-begun = This sign-in was not begun in this browser, or has taken too long. Please begin again.
sign-in-refused = { $host } did not let you in. It says: { $said }
sign-in-token = What { $host } says of you could not be believed, so nobody was signed in. Please begin again, and tell your administrator if it stays so.
sign-in-away = { $host } cannot be reached, or does not do what it has to. Please try again later, and tell your administrator if it stays so.
sign-in-without-role = You are known, and nothing here is open to you: your identity provider gives you no role for this console. Please ask your administrator.
sign-in-disabled = You may not sign in here any more. Please ask your administrator.
sign-in-name-taken = There is another user called { $value } here. Users are never joined by their names: please ask your administrator.
sign-in-no-name = Your identity provider calls you { $value }, which cannot be a name here: 1 to 64 characters out of A-Z a-z 0-9 . _ - @ +
sign-out-provider-text = You have signed out here. At { $value } you may still be signed in.
sign-out-provider = Sign out at { $value }, too
you-of-provider = You sign in at { $value }: it looks after your password, and says what you may do here, each time you sign in.
user-of-provider = This user signs in at { $value }, which says what the user may do, each time the user signs in.

# Why a change of a user was refused.
reason-NO_SECOND_FACTOR = The user has no second factor.
reason-USER_OF_PROVIDER = The user signs in at an identity provider, which says what the user may do: it is changed there.
