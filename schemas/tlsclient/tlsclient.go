// Package tlsclient is the TLS section of every part that connects to a server: its keys, its check and the
// configuration of crypto/tls that follows.
package tlsclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Config is the section. The zero Config is TLS switched off.
type Config struct {
	Enabled            bool   `yaml:"enabled" json:"enabled" jsonschema_description:"Use TLS. Default false."`
	CAFile             string `yaml:"ca_file" json:"ca_file" jsonschema_description:"PEM file of the authorities that sign the server. Empty means the system's."`
	CertFile           string `yaml:"cert_file" json:"cert_file" jsonschema_description:"PEM file of the client certificate for mTLS."`
	KeyFile            string `yaml:"key_file" json:"key_file" jsonschema_description:"PEM file of the client key for mTLS."`
	ServerName         string `yaml:"server_name" json:"server_name" jsonschema_description:"Name expected in the server's certificate, when it differs from the address."`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify" json:"insecure_skip_verify" jsonschema_description:"Accept any certificate. For tests only. Default false."`
}

// Validate reports what cannot work. It reads no file; its messages begin with keys of the section.
func (c Config) Validate() error {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("cert_file and key_file go together")
	}
	return nil
}

// Client returns the configuration of a client, TLS 1.2 or later; nil when TLS is off.
func (c Config) Client() (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file %s holds no certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load client certificate: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}
