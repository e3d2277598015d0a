// Package tlsclient is the TLS section of every part that connects to a server: its keys, its check, the
// configuration of crypto/tls that follows, and what a failed handshake says about a key.
package tlsclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Config is the section. The zero Config is TLS switched off.
type Config struct {
	Enabled            bool   `yaml:"enabled" json:"enabled" jsonschema_description:"Use TLS. Default false."`
	CAFile             string `yaml:"ca_file" json:"ca_file" jsonschema_description:"PEM file of the authorities that sign the server, read anew for every connection. Empty means the system's."`
	CertFile           string `yaml:"cert_file" json:"cert_file" jsonschema_description:"PEM file of the client certificate for mTLS, read anew for every connection."`
	KeyFile            string `yaml:"key_file" json:"key_file" jsonschema_description:"PEM file of the client key for mTLS, read anew for every connection."`
	ServerName         string `yaml:"server_name" json:"server_name" jsonschema_description:"Name expected in the server's certificate, when it differs from the address."`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify" json:"insecure_skip_verify" jsonschema_description:"Accept any certificate. For tests only. Default false."`
}

// Validate reports what cannot work. It reads no file; its messages begin with keys of the section.
func (c Config) Validate() error {
	var errs []error
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("cert_file and key_file go together"))
	}
	if !c.Enabled && (c.CAFile != "" || c.CertFile != "" || c.ServerName != "" || c.InsecureSkipVerify) {
		errs = append(errs, errors.New("enabled: is false, so that the other keys have no effect; set it to true or remove them"))
	}
	return errors.Join(errs...)
}

// Client returns the configuration of a client, TLS 1.2 or later, from the files as they stand now; nil when TLS is
// off. A client certificate that has expired is an error.
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
			return nil, fmt.Errorf("load cert_file and key_file: %w", err)
		}
		if now := time.Now(); now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
			return nil, &Error{Key: "cert_file", Hint: fmt.Sprintf("the client certificate in %s is valid from %s to %s; renew it",
				c.CertFile, pair.Leaf.NotBefore.UTC().Format(time.RFC3339), pair.Leaf.NotAfter.UTC().Format(time.RFC3339))}
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// Dialer returns a function that connects and shakes hands within timeout. The files are read anew each time, so that
// renewed certificates count from the next connection on. A failed handshake is explained as by Explain.
func (c Config) Dialer(timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conf, err := c.Client()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if conf.ServerName == "" {
			if conf.ServerName, _, err = net.SplitHostPort(addr); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
		}
		secured := tls.Client(conn, conf)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, Explain(fmt.Errorf("shake hands with %s: %w", addr, err))
		}
		return secured, nil
	}
}

// Error is a failure that a key of the section, or the server's certificate, explains.
type Error struct {
	Key  string // key of the section
	Hint string // what is wrong and what to do
	Err  error  // the cause; nil where the hint says it all
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Key + ": " + e.Hint
	}
	return e.Key + ": " + e.Hint + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Explain wraps the error of a connection in an *Error where a key of the section is behind it, and returns any other
// error as it is.
func Explain(err error) error {
	var explained *Error
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var header tls.RecordHeaderError
	var network *net.OpError
	switch {
	case err == nil, errors.As(err, &explained):
		return err
	case errors.As(err, &authority):
		return &Error{"ca_file", "no authority that it names has signed the server's certificate", err}
	case errors.As(err, &name):
		return &Error{"server_name", "the server's certificate is made out to other names; set the one that it bears", err}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &Error{"ca_file", "the server's certificate, or one that signed it, has expired or is not valid yet; renew it there", err}
	case errors.As(err, &invalid):
		return &Error{"ca_file", "the server's certificate is not valid", err}
	case errors.As(err, &header):
		return &Error{"enabled", "the server does not speak TLS at this address", err}
	case errors.As(err, &network) && network.Op == "remote error":
		return &Error{"cert_file", "the server refused the handshake; it may want a client certificate that it trusts", err}
	}
	return err
}
