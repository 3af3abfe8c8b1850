// Serves Google as the package `emulate` imitates it, and prints the address. It ends with its standard input.
import { createEmulator } from "emulate";

const [client_id, client_secret, redirect] = process.argv.slice(2);
const seed = {
  google: {
    users: [{ email: "ada@example.com", name: "Ada" }],
    oauth_clients: [{ client_id, client_secret, redirect_uris: [redirect] }],
  },
};
const google = await createEmulator({ service: "google", port: 0, seed });
console.log(google.url.replace("localhost", "127.0.0.1"));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
