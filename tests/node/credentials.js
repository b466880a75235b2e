// Calls with a token and with a client certificate, in the words of proto/README.md.
// Arguments: the address, a file with the authority, and a token, or a certificate and its key.
const fs = require("fs");
const path = require("path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [address, authority, ...shown] = process.argv.slice(2);
const proto = path.join(__dirname, "../../proto");
const api = grpc.loadPackageDefinition(loader.loadSync("tollgate/v1/charging.proto", { includeDirs: [proto] })).tollgate.v1;
const metadata = new grpc.Metadata();
let identity = [];
if (shown.length === 1) {
  const key = shown[0];
  metadata.set("authorization", `Bearer ${key}`);
} else {
  const [certificate, key] = shown.map((file) => fs.readFileSync(file));
  identity = [key, certificate];
}
const client = new api.ChargingService(address, grpc.credentials.createSsl(fs.readFileSync(authority), ...identity));
client.GetUsableCredit({ accountId: "acme" }, metadata, { deadline: Date.now() + 20000 }, (error, answer) => {
  console.log(error ? error.code : answer.credit.usable);
  process.exit(0);
});
