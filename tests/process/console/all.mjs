// Runs all tests of the console in one browser.
import { run } from "./browser.mjs";
import "./signing_in.mjs";
import "./second_factor.mjs";
import "./oidc.mjs";
import "./organizations.mjs";
import "./invoices.mjs";
import "./receivables.mjs";
import "./organization.mjs";
import "./convert.mjs";
import "./payments.mjs";
import "./unknown.mjs";
import "./mails.mjs";
import "./links.mjs";
import "./chosen.mjs";
import "./bank.mjs";
import "./overview.mjs";
import "./conversions.mjs";
import "./settings.mjs";
import "./templates.mjs";
import "./approvals.mjs";
import "./access.mjs";
import "./matrix.mjs";
import { missingStates } from "./states.mjs";

await run(missingStates);
