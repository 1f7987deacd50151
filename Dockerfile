# VMedic: API, workers and command line in one image. Debian, because fence agents and libvirt's client come from there and Temporal's native
# core needs glibc; not root, because nothing of it needs to be.
FROM node:20.19.5-bookworm-slim AS build
WORKDIR /opt/vmedic
COPY package.json package-lock.json .npmrc ./
# Not `npm ci`: it refuses a lockfile that lacks the optional binaries of other platforms.
RUN npm install --no-save --no-audit --no-fund --omit=optional
COPY tsconfig.json tsconfig.build.json ./
COPY domain domain
COPY activities activities
COPY workflows workflows
COPY drivers drivers
COPY client client
COPY workers workers
COPY lab lab
COPY bench bench
RUN npm run build && npm prune --omit=dev --omit=optional

FROM node:20.19.5-bookworm-slim
# virsh, the fence agents, and ssh to the hosts; tini, so that signals arrive and ended children are buried.
# Debian keeps only the newest build of a version, so a pinned one would be gone with its first fix.
# hadolint ignore=DL3008
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    fence-agents \
    ipmitool \
    libvirt-clients \
    openssh-client \
    tini \
  && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 vmedic \
  && useradd --uid 10001 --gid vmedic --home-dir /var/lib/vmedic --shell /usr/sbin/nologin vmedic \
  && install --directory --owner vmedic --group vmedic --mode 0700 /var/lib/vmedic \
  && install --directory --owner vmedic --group vmedic --mode 0755 /tokens
WORKDIR /opt/vmedic
COPY --from=build /opt/vmedic/package.json ./
COPY --from=build /opt/vmedic/node_modules node_modules
COPY --from=build /opt/vmedic/dist dist
COPY drivers/postgres/migrations drivers/postgres/migrations
COPY bin bin
ENV NODE_ENV=production VMEDIC_HOME=/var/lib/vmedic VMEDIC_CONFIG=/etc/vmedic/vmedic.yaml
# A third of what workflows cost is stack traces that nobody reads; and many young objects die before they need sorting out.
ENV NODE_OPTIONS="--require /opt/vmedic/dist/workers/embedded/no-promise-stacks.js --max-semi-space-size=32"
USER 10001:10001
ENTRYPOINT ["tini", "--", "/opt/vmedic/bin/vmedic"]
CMD ["worker"]
