# The image of the operator and of the exporters: one static binary, the certificates that AWS's
# endpoints are checked against, no shell, no other user than nobody in particular.
#
# It needs no base image, so that it builds without a registry. First the binary:
#   RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked -p nightjar --target x86_64-unknown-linux-gnu
# Then, with either of them, in the root of the repository:
#   buildah bud --build-context certificates=/etc/ssl/certs -t nightjar .
#   docker buildx build --build-context certificates=/etc/ssl/certs -t nightjar .
# For ARM64 add --platform linux/arm64 --build-arg BINARY=target/aarch64-unknown-linux-gnu/release/nightjar.
FROM scratch

ARG BINARY=target/x86_64-unknown-linux-gnu/release/nightjar
ARG VERSION=0.1.0
ARG REVISION=unknown

LABEL org.opencontainers.image.title="nightjar" \
      org.opencontainers.image.description="Kubernetes operator and Prometheus exporter for AWS serverless stacks" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --from=certificates ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --chmod=0755 ${BINARY} /bin/nightjar

# One heap for all threads: glibc would keep one for each, and a third more memory of an exporter with 10,000 functions.
ENV MALLOC_ARENA_MAX=1
# A number, so that runAsNonRoot can be checked.
USER 65532:65532
EXPOSE 9988 9989
ENTRYPOINT ["/bin/nightjar"]
CMD ["--help"]
