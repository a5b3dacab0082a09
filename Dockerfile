# Pointsman in a container: built from source, runs as nobody in particular.
# docker build -t pointsman . && docker run -v ./pointsman.yaml:/etc/pointsman/pointsman.yaml:ro -p 9092-9096:9092-9096 pointsman
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
# A build, its use, and a build that is led by it: see README.md. `cargo build --release --locked` is quicker.
RUN cargo xtask release

FROM debian:bookworm-slim
RUN useradd --system --create-home --home-dir /var/lib/pointsman pointsman
COPY --from=build /src/target/pgo/pointsman /usr/local/bin/pointsman
USER pointsman
# Where `state.file` may be: the configuration is usually mounted read-only.
VOLUME /var/lib/pointsman
ENTRYPOINT ["pointsman"]
CMD ["run", "-c", "/etc/pointsman/pointsman.yaml"]
