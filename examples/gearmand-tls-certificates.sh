#!/usr/bin/env bash
# gearmand-tls-certificates.sh DIRECTORY SERVER-NAME...: makes a certificate authority in DIRECTORY, and certificates of a year for the
# job server (server.crt, for these names) and for its clients (client.crt). If your cluster has cert-manager, let it make them.
set -euo pipefail
dir=${1:?name the directory to fill} && shift
[ $# -gt 0 ] || { echo "name the job server as its clients do, such as gearmand-tls.jobs.svc" >&2; exit 1; }
umask 077
mkdir -p "$dir"
cd "$dir"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=gearmand clients and servers" \
	-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.crt 2>/dev/null

# issue NAME USAGE SUBJECT [EXTENSION]: a key and a certificate.
issue() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$3" -keyout "$1.key" -out "$1.csr" 2>/dev/null
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out "$1.crt" 2>/dev/null \
		-extfile <(printf 'extendedKeyUsage=%s\nkeyUsage=digitalSignature\n%s\n' "$2" "${4:-}")
	rm "$1.csr"
}

issue server serverAuth "/CN=$1" "subjectAltName=$(printf ',DNS:%s' "$@" | cut -c2-)"
issue client clientAuth "/CN=gearman client"
echo "made in $dir: ca.crt, server.crt, server.key, client.crt, client.key; keep ca.key, which signs, away from the cluster"
