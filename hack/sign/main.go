// Command sign signs a release, or checks it: `sign -key KEY -version V -commit C DIRECTORY` signs
// the directory's SHA256SUMS and writes the provenance of the files in it; `sign -verify -key KEY
// DIRECTORY` checks both, and each file. The key is an ECDSA P-256 key as PEM, as `openssl ecparam
// -name prime256v1 -genkey` makes it. The formats are those of others: the signature is what
// cosign's sign-blob makes and its verify-blob reads, the provenance is a SLSA statement in a DSSE
// envelope.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	module     = "github.com/gearman-operator/gearman-operator"
	sumsFile   = "SHA256SUMS"
	signature  = "SHA256SUMS.sig"
	provenance = "provenance.intoto.jsonl"
	payload    = "application/vnd.in-toto+json"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sign:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("sign", flag.ContinueOnError)
	key, check := flags.String(
		"key", "", "file with the key, the public one for -verify",
	), flags.Bool("verify", false, "check instead of signing")
	version, commit := flags.String("version", "", "version of the release"), flags.String(
		"commit", "", "commit that it was made from",
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *key == "" || flags.NArg() != 1 || !*check && (*version == "" || *commit == "") {
		return errors.New("give -key, the directory of the release, and -version and -commit unless -verify is set")
	}
	block, err := readKey(*key)
	if err != nil {
		return err
	}
	if *check {
		return verify(block, flags.Arg(0))
	}
	return sign(block, flags.Arg(0), *version, *commit)
}

func readKey(path string) (*pem.Block, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, fmt.Errorf("%s holds no PEM key", path)
		}
		if block.Type != "EC PARAMETERS" { // openssl writes them before the key
			return block, nil
		}
	}
}

func privateKey(block *pem.Block) (*ecdsa.PrivateKey, error) {
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if ec, ok := key.(*ecdsa.PrivateKey); err == nil && ok {
		return ec, nil
	}
	return nil, errors.New(
		"the key is no private ECDSA key: make one by openssl ecparam -name prime256v1 -genkey -noout",
	)
}

func sign(block *pem.Block, dir, version, commit string) error {
	key, err := privateKey(block)
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(dir, sumsFile))
	if err != nil {
		return err
	}
	subjects, err := parse(sums)
	if err != nil {
		return err
	}
	sig, err := signed(key, sums)
	if err != nil {
		return err
	}
	body, err := json.Marshal(statementOf(subjects, version, commit))
	if err != nil {
		return err
	}
	bodySig, err := signed(key, preAuthentication(body))
	if err != nil {
		return err
	}
	text, err := json.Marshal(
		envelope{payload, base64.StdEncoding.EncodeToString(body), []envelopeSignature{{bodySig}}},
	)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, signature), []byte(sig+"\n"), 0o644),    //nolint:gosec // everybody may read a release
		os.WriteFile(filepath.Join(dir, provenance), append(text, '\n'), 0o644)) //nolint:gosec // everybody may read a release
}

func signed(key *ecdsa.PrivateKey, text []byte) (string, error) {
	sum := sha256.Sum256(text)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	return base64.StdEncoding.EncodeToString(sig), err
}

// subject is a file of the release.
type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// parse reads the output of sha256sum.
func parse(sums []byte) (all []subject, err error) {
	for line := range strings.Lines(string(sums)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != sha256.Size || name == "" ||
			name != filepath.Base(name) {
			return nil, fmt.Errorf("%s has a line that sha256sum does not write: %q", sumsFile, line)
		}
		all = append(all, subject{name, map[string]string{"sha256": sum}})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s is empty", sumsFile)
	}
	return all, nil
}

// statement is what in-toto and SLSA call provenance: which files were made from what.
type statement struct {
	Type          string         `json:"_type"`
	Subject       []subject      `json:"subject"`
	PredicateType string         `json:"predicateType"`
	Predicate     map[string]any `json:"predicate"`
}

func statementOf(subjects []subject, version, commit string) statement {
	return statement{"https://in-toto.io/Statement/v1", subjects, "https://slsa.dev/provenance/v1", map[string]any{
		"buildDefinition": map[string]any{
			"buildType":          "https://" + module + "/blob/main/docs/releasing.md",
			"externalParameters": map[string]string{"version": version},
			"resolvedDependencies": []any{
				map[string]any{"uri": "git+https://" + module, "digest": map[string]string{"gitCommit": commit}},
			},
		},
		"runDetails": map[string]any{
			"builder": map[string]string{"id": "https://" + module + "/blob/main/hack/release"},
		},
	}}
}

// envelope is a DSSE envelope.
type envelope struct {
	PayloadType string              `json:"payloadType"`
	Payload     string              `json:"payload"`
	Signatures  []envelopeSignature `json:"signatures"`
}

type envelopeSignature struct {
	Sig string `json:"sig"`
}

// preAuthentication is what the signature of an envelope covers.
func preAuthentication(body []byte) []byte {
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(payload), payload, len(body)), body...)
}

func verify(block *pem.Block, dir string) error {
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok {
		return errors.New("the key is no public ECDSA key: make it by openssl ec -pubout")
	}
	sums, err := os.ReadFile(filepath.Join(dir, sumsFile))
	if err != nil {
		return err
	}
	sig, err := os.ReadFile(filepath.Join(dir, signature))
	if err != nil {
		return err
	}
	if !valid(key, sums, string(bytes.TrimSpace(sig))) {
		return fmt.Errorf("%s is not what was signed", sumsFile)
	}
	subjects, err := parse(sums)
	if err != nil {
		return err
	}
	for _, s := range subjects {
		content, err := os.ReadFile(filepath.Join(dir, s.Name))
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != s.Digest["sha256"] {
			return fmt.Errorf("%s is not what was signed", s.Name)
		}
	}
	return verifyProvenance(key, dir, subjects)
}

func verifyProvenance(key *ecdsa.PublicKey, dir string, subjects []subject) error {
	text, err := os.ReadFile(filepath.Join(dir, provenance))
	if err != nil {
		return err
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("%s: %w", provenance, err)
	}
	body, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil || e.PayloadType != payload || len(e.Signatures) != 1 ||
		!valid(key, preAuthentication(body), e.Signatures[0].Sig) {
		return fmt.Errorf("%s is not what was signed", provenance)
	}
	var s statement
	if err := json.Unmarshal(body, &s); err != nil {
		return fmt.Errorf("%s: %w", provenance, err)
	}
	if len(s.Subject) != len(subjects) {
		return fmt.Errorf("%s is about %d files, the release has %d", provenance, len(s.Subject), len(subjects))
	}
	for i, want := range subjects {
		if got := s.Subject[i]; got.Name != want.Name || got.Digest["sha256"] != want.Digest["sha256"] {
			return fmt.Errorf("%s is about another %s", provenance, got.Name)
		}
	}
	return nil
}

func valid(key *ecdsa.PublicKey, text []byte, sig string) bool {
	raw, err := base64.StdEncoding.DecodeString(sig)
	sum := sha256.Sum256(text)
	return err == nil && ecdsa.VerifyASN1(key, sum[:], raw)
}
