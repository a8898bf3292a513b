// Verifies messages with the package `standardwebhooks`. stdin: [{"secret", "headers", "body"}]; stdout: true or what is wrong, of each.
const fs = require("fs");
const path = require("path");

const [folder] = process.argv.slice(2);
const { Webhook } = require(path.join(folder, "node_modules", "standardwebhooks"));

console.log(
  JSON.stringify(
    JSON.parse(fs.readFileSync(0, "utf8")).map(({ secret, headers, body }) => {
      try {
        new Webhook(secret).verify(body, headers);
        return true;
      } catch (error) {
        return error.message;
      }
    }),
  ),
);
