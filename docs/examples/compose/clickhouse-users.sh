#!/bin/sh
# Creates a user for each service that reads or writes ClickHouse. The server's image runs it once, while its data folder
# is empty; `modeltrail migrate --grants` says what the roles may do. A password never stands in a command line.
(
  set -eu
  secrets="${SECRETS:-/run/secrets}"
  hash() { tr -d '\r\n' < "$secrets/$1" | sha256sum | cut -d ' ' -f 1; }
  store=$(hash clickhouse_store_password)
  detect=$(hash clickhouse_detect_password)
  grafana=$(hash clickhouse_grafana_password)
  CLICKHOUSE_USER="${CLICKHOUSE_USER:-modeltrail}" CLICKHOUSE_PASSWORD="$(tr -d '\r\n' < "$secrets/clickhouse_password")" \
    clickhouse-client --host 127.0.0.1 --multiquery <<SQL
CREATE ROLE IF NOT EXISTS modeltrail_writer, modeltrail_soc, modeltrail_dashboards;
CREATE USER IF NOT EXISTS modeltrail_store IDENTIFIED WITH sha256_hash BY '$store';
CREATE USER IF NOT EXISTS modeltrail_detect IDENTIFIED WITH sha256_hash BY '$detect';
CREATE USER IF NOT EXISTS modeltrail_grafana IDENTIFIED WITH sha256_hash BY '$grafana';
GRANT modeltrail_writer TO modeltrail_store;
GRANT modeltrail_soc TO modeltrail_detect;
GRANT modeltrail_dashboards TO modeltrail_grafana;
SQL
)
