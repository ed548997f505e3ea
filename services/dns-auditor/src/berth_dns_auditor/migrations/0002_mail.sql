-- The domain's name, for what is asked of an account later; null in rows from before it was kept.
ALTER TABLE domain_account ADD COLUMN domain text;

-- What the last message of an account showed of its domain: how mail is signed, and from where it comes.
CREATE TABLE domain_mail (
    account_id    uuid PRIMARY KEY,
    domain_id     uuid NOT NULL,
    seen_at       timestamptz NOT NULL,
    dkim_domain   text,
    dkim_selector text,
    sending_ip    inet
);
CREATE INDEX domain_mail_domain ON domain_mail (domain_id, seen_at);
