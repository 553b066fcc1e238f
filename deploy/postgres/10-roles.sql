-- Two roles and one database. Run once, by a superuser, with psql (the postgres image runs it on its first start):
--
--   sinergi_owner  owns the tables; used by `sinergi init` and `sinergi migrate` alone
--   sinergi        the running gateway; `sinergi migrate` grants it what it needs: of the ledger's entries SELECT and INSERT
--
-- The passwords come from files, so that they stand in no command line and no log.

\set ON_ERROR_STOP on
\getenv secrets SINERGI_SECRETS_DIR
\if :{?secrets}
\else
\set secrets /run/secrets
\endif
\set owner_file :secrets '/database-owner'
\set application_file :secrets '/database'
\set owner_password `cat :owner_file`
\set application_password `cat :application_file`

SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';

CREATE ROLE sinergi_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE sinergi LOGIN PASSWORD :'application_password';
CREATE DATABASE sinergi OWNER sinergi_owner;
REVOKE ALL ON DATABASE sinergi FROM PUBLIC;
GRANT CONNECT ON DATABASE sinergi TO sinergi;
