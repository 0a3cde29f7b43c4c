package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// connectOptions are how to connect to job servers.
type connectOptions struct {
	tls                    bool
	ca, cert, key, tlsName string
	timeout                time.Duration
}

// The names differ from kubectl's own --tls-server-name and --client-certificate, which are about
// the API server.
func (o *connectOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.tls, "tls", false, "speak TLS to the job server")
	flags.StringVar(&o.ca, "tls-ca", "", "file with the CA certificates for the job server's certificate; implies --tls")
	flags.StringVar(&o.cert, "tls-cert", "", "file with the client certificate for the job server; implies --tls")
	flags.StringVar(&o.key, "tls-key", "", "file with the key of --tls-cert")
	flags.StringVar(&o.tlsName, "tls-name", "", "name expected in the job server's certificate; implies --tls")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long a job server may take to answer")
}

func (o *connectOptions) tlsConfig() (*tls.Config, error) {
	if o.timeout <= 0 {
		return nil, errors.New("--timeout must be greater than 0")
	}
	if !o.tls && o.ca == "" && o.cert == "" && o.tlsName == "" {
		if o.key != "" {
			return nil, errors.New("--tls-key needs --tls-cert")
		}
		return nil, nil
	}
	if (o.cert == "") != (o.key == "") {
		return nil, errors.New("--tls-cert and --tls-key go together")
	}
	var pem gearman.PEM
	for _, f := range []struct {
		option, file string
		content      *[]byte
	}{{"--tls-ca", o.ca, &pem.CA}, {"--tls-cert", o.cert, &pem.Cert}, {"--tls-key", o.key, &pem.Key}} {
		if f.file == "" {
			continue
		}
		content, err := os.ReadFile(f.file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.option, err)
		}
		*f.content = content
	}
	config, err := pem.Config()
	if err != nil {
		return nil, fmt.Errorf("--tls-ca, --tls-cert, --tls-key: %w", err)
	}
	return config, nil
}

// serverNameOf is the name that a target's certificate must have.
func (o *connectOptions) serverNameOf(target string) string {
	if o.tlsName != "" {
		return o.tlsName
	}
	if _, name, inCluster := strings.Cut(target, "/"); inCluster {
		target = name
	}
	if host, _, err := net.SplitHostPort(target); err == nil {
		return host
	}
	return strings.Trim(target, "[]")
}
