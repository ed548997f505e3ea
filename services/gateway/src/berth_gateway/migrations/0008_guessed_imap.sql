-- An IMAP server that nobody named: when nothing answers there, the account only sends.
ALTER TABLE account ADD COLUMN imap_guessed boolean NOT NULL DEFAULT false;
