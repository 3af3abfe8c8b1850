// Serves a provider as the package `emulate` imitates it, and prints the address. It ends with its standard input.
import { createEmulator } from "emulate";

const server = await createEmulator({ service: process.argv[2], port: 0 });
console.log(server.url.replace("localhost", "127.0.0.1"));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
