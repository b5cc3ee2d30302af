// Loaded before a client: lets every name under `localhost` stand for this machine, as browsers do and not every resolver does.
const dns = require("node:dns");
const lookup = dns.lookup;
dns.lookup = (name, ...rest) => lookup(name.endsWith(".localhost") ? "localhost" : name, ...rest);
