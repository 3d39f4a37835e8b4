-- What was put into the DNS for an order and is to be taken out again; it may outlive its certificate.
CREATE TABLE acme_dns_records (
    certificate_id BLOB NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (certificate_id, name, value)
) STRICT, WITHOUT ROWID;
