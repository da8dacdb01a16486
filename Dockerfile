FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/interlock && /opt/interlock/bin/pip install --no-cache-dir -c constraints.txt '.[postgres]'

FROM python:3.12-slim
RUN useradd --system --uid 10001 interlock && mkdir /data && chown interlock /data
COPY --from=build /opt/interlock /opt/interlock
ENV PATH=/opt/interlock/bin:$PATH INTERLOCK_DATA=/data PYTHONUNBUFFERED=1
USER interlock
WORKDIR /app
VOLUME /data
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:4000/health/liveliness', timeout=2)"]
ENTRYPOINT ["interlock", "serve"]
CMD ["--config=/app/config.yaml"]
