// imapflow and nodemailer over some of the bed's mailboxes: the peer of verifiers.py, with the same job and the same output.
"use strict";
const { readFileSync } = require("node:fs");
const { ImapFlow } = require("imapflow");
const nodemailer = require("nodemailer");

const job = JSON.parse(process.argv[2]);
const tls = { ca: readFileSync(job.ca_file), servername: job.hostname };

async function proveImap(auth) {
    const client = new ImapFlow({
        host: job.address, port: job.ports.imap, secure: true, auth, tls, logger: false, disableAutoIdle: true,
    });
    await client.connect();
    await client.mailboxOpen("INBOX", { readOnly: true });
    await client.list(); // the special folders, which Berth tells as well
    await client.logout();
}

async function proveSmtp(auth) {
    const transport = nodemailer.createTransport({ host: job.address, port: job.ports.smtp, secure: true, auth, tls });
    await transport.verify();
    transport.close();
}

async function verify(number) {
    const digits = String(number).padStart(5, "0");
    const auth = { user: `u${digits}@test.example`, pass: `pw${digits}` };
    await Promise.all([proveImap(auth), proveSmtp(auth)]);
}

async function verifyAll(first, count) {
    let next = first;
    const turns = Array.from({ length: job.at_once }, async () => {
        while (next < first + count) await verify(next++);
    });
    await Promise.all(turns);
}

(async () => {
    await verifyAll(0, job.warm);
    const wall = process.hrtime.bigint(), cpu = process.cpuUsage();
    await verifyAll(job.warm, job.count);
    const { user, system } = process.cpuUsage(cpu);
    const seconds = Number(process.hrtime.bigint() - wall) / 1e9;
    console.log(JSON.stringify({ seconds, cpu: (user + system) / 1e6, megabytes: process.resourceUsage().maxRSS / 1024 }));
})().catch((error) => {
    console.error(error);
    process.exit(1);
});
