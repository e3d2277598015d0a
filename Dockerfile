# Two images from one file: `--target modeltrail` (all roles) and `--target tap` (the tap only).
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
# noengine: static, without the embedded engine, which a container has no use for.
RUN CGO_ENABLED=0 go build -tags noengine -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/ ./cmd/modeltrail ./cmd/modeltrail-tap \
 && mkdir -p /out/state

FROM gcr.io/distroless/static-debian12:nonroot AS tap
COPY --from=build /out/modeltrail-tap /modeltrail-tap
COPY --from=build --chown=65532:65532 /out/state /var/lib/modeltrail
USER 65532:65532
VOLUME /var/lib/modeltrail
EXPOSE 8080 9464
ENTRYPOINT ["/modeltrail-tap"]

FROM gcr.io/distroless/static-debian12:nonroot AS modeltrail
COPY --from=build /out/modeltrail /modeltrail
COPY --from=build --chown=65532:65532 /out/state /var/lib/modeltrail
USER 65532:65532
VOLUME /var/lib/modeltrail
EXPOSE 8080 9464
ENTRYPOINT ["/modeltrail"]
