#!/bin/sh
# Run once by the image of PostgreSQL, on an empty volume: a database and an owner for each service.
set -eu
psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 \
    --set visionloop="$VISIONLOOP_DB_PASSWORD" --set mlflow="$MLFLOW_DB_PASSWORD" <<'SQL'
CREATE ROLE visionloop LOGIN PASSWORD :'visionloop';
CREATE DATABASE visionloop OWNER visionloop;
REVOKE CONNECT ON DATABASE visionloop FROM PUBLIC;
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE DATABASE mlflow OWNER mlflow;
REVOKE CONNECT ON DATABASE mlflow FROM PUBLIC;
SQL
