# shellcheck shell=bash
# The certificates of the local cluster. Sourced after local.sh; works in the current folder.

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

authority() { # NAME
  key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=gearman-local-$1" -days 365 -out "$1.crt"
}

certificate() { # NAME SUBJECT AUTHORITY [ALTERNATIVE NAMES]
  key "$1"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA "$3.crt" -CAkey "$3.key" -CAcreateserial -days 365 -out "$1.crt" \
    -extfile <(echo "extendedKeyUsage=clientAuth,serverAuth"; [ -z "${4-}" ] || echo "subjectAltName=$4")
}

make_pki() {
  local svc=kubernetes.default.svc
  authority ca
  authority front-proxy-ca
  openssl genrsa -out sa.key 2048
  openssl rsa -in sa.key -pubout -out sa.pub
  certificate apiserver /CN=kube-apiserver ca \
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:$svc,DNS:$svc.cluster.local,IP:127.0.0.1,IP:$NODE_IP,IP:$SERVICE_IP"
  certificate admin /O=system:masters/CN=admin ca
  certificate apiserver-kubelet /O=system:masters/CN=apiserver-kubelet ca
  certificate front-proxy /CN=front-proxy-client front-proxy-ca
  certificate kube-controller-manager /CN=system:kube-controller-manager ca
  certificate kube-scheduler /CN=system:kube-scheduler ca
  certificate kube-proxy /CN=system:kube-proxy ca
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE" ca "DNS:$NODE,IP:$NODE_IP"
}
