# The image of `make image`, where Docker or buildah is at hand: the same files with the same digests if the Go version is the same
# (`make image-check-dockerfile` compares them).
# `make pin-build-image` puts the digest of the tag behind it, before a release.
ARG GO_IMAGE=docker.io/library/golang:1.26
FROM --platform=${BUILDPLATFORM:-linux/amd64} ${GO_IMAGE} AS build
WORKDIR /src
# The modules first: they change less often than the code.
COPY go.work go.mod go.sum ./
COPY gearman/go.mod gearman/
COPY hack/image/go.mod hack/image/go.sum hack/image/
RUN go mod download && cd hack/image && GOWORK=off go mod download
COPY . .
ARG TARGETARCH=amd64
ARG VERSION=dev
RUN ARCHES=${TARGETARCH} VERSION=${VERSION} hack/image/build.sh --tree /out

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title=gearman-operator \
      org.opencontainers.image.description="Scales Gearman workers on Kubernetes by their backlog" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.source=https://github.com/gearman-operator/gearman-operator \
      org.opencontainers.image.version=${VERSION}
COPY --from=build /out/ /
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/manager"]
