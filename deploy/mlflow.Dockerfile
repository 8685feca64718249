# MLflow's server with the driver that its own image lacks. The version is the one of requirements.lock.
FROM python:3.11-slim
RUN pip install --no-cache-dir mlflow==3.17.2 'psycopg2-binary>=2.9.10,<3' \
    && useradd --uid 10002 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin mlflow \
    && install --directory --owner=10002 --group=10002 /artifacts
ENV HOME=/tmp PYTHONUNBUFFERED=1 MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
VOLUME /artifacts
USER 10002
EXPOSE 5000
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000"]
