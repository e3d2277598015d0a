// Package tlsserver is the TLS section of every part that listens: its keys, its check, and a configuration of
// crypto/tls whose certificates follow their files without a restart.
//
// Client certificates are verified in every handshake, also in resumed ones, and a refusal is counted by a reason
// from a closed set before the connection ends.
package tlsserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Config is the section. The zero Config is TLS switched off.
type Config struct {
	CertFile       string        `yaml:"cert_file" json:"cert_file" jsonschema_description:"PEM file of the server's certificate chain. Empty switches TLS off."`
	KeyFile        string        `yaml:"key_file" json:"key_file" jsonschema_description:"PEM file of the server's key."`
	ClientCAFile   string        `yaml:"client_ca_file" json:"client_ca_file" jsonschema_description:"PEM file of the authorities that sign client certificates. Empty asks for none."`
	MinVersion     string        `yaml:"min_version" json:"min_version" jsonschema:"enum=1.2,enum=1.3" jsonschema_description:"Least TLS version: 1.2 or 1.3. Default 1.2."`
	ReloadInterval time.Duration `yaml:"reload_interval" json:"reload_interval" jsonschema_description:"How often, at most, a handshake looks at the files for new certificates. Default 10s."`
}

// DefaultConfig returns TLS switched off.
func DefaultConfig() Config { return Config{MinVersion: "1.2", ReloadInterval: 10 * time.Second} }

// Enabled reports whether the section names a certificate.
func (c Config) Enabled() bool { return c.CertFile != "" }

// Validate reports what cannot work. It reads no file; its messages begin with keys of the section.
func (c Config) Validate() error {
	var errs []error
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("cert_file: cert_file and key_file go together"))
	}
	if c.ClientCAFile != "" && !c.Enabled() {
		errs = append(errs, errors.New("client_ca_file: needs cert_file and key_file"))
	}
	if c.MinVersion != "1.2" && c.MinVersion != "1.3" {
		errs = append(errs, fmt.Errorf("min_version: %q is not 1.2 or 1.3", c.MinVersion))
	}
	if c.ReloadInterval <= 0 {
		errs = append(errs, errors.New("reload_interval: must be above 0s"))
	}
	return errors.Join(errs...)
}

// Reasons why a client certificate is refused.
const (
	ReasonExpired   = "certificate_expired"
	ReasonUntrusted = "certificate_untrusted"
)

// Settings is what code supplies. Nil functions are not called.
type Settings struct {
	Refused  func(addr, reason string) // a client certificate was refused
	Reloaded func(err error)           // nil: new files are in force; else they are faulty and the ones before stay
}

// Server gives handshakes the certificates in force. It is safe for concurrent use.
type Server struct {
	cfg Config
	set Settings

	mu     sync.Mutex
	conf   *tls.Config
	stamps [3]stamp
	looked time.Time
	failed bool // the last change was faulty and has been told
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// New reads the files. The error names the key.
func New(cfg Config, set Settings) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, set: set, looked: time.Now()}
	s.stamps = s.look()
	conf, err := s.load()
	if err != nil {
		return nil, err
	}
	s.conf = conf
	return s, nil
}

// TLS returns the configuration for a listener.
func (s *Server) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, // the effective one comes with each handshake
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			conf := s.current().Clone()
			addr := hello.Conn.RemoteAddr().String()
			conf.VerifyConnection = func(state tls.ConnectionState) error { return s.verify(conf.ClientCAs, addr, state) }
			return conf, nil
		},
	}
}

// current reads files that have changed. Faulty ones change nothing.
func (s *Server) current() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) < s.cfg.ReloadInterval {
		return s.conf
	}
	s.looked = time.Now()
	now := s.look()
	if now == s.stamps && !s.failed {
		return s.conf
	}
	conf, err := s.load()
	switch {
	case err == nil:
		s.conf, s.stamps, s.failed = conf, now, false
		s.tell(nil)
	case !s.failed || now != s.stamps:
		s.stamps, s.failed = now, true
		s.tell(err)
	}
	return s.conf
}

func (s *Server) tell(err error) {
	if s.set.Reloaded != nil {
		s.set.Reloaded(err)
	}
}

func (s *Server) look() (stamps [3]stamp) {
	for i, file := range []string{s.cfg.CertFile, s.cfg.KeyFile, s.cfg.ClientCAFile} {
		if info, err := os.Stat(file); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

func (s *Server) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(s.cfg.CertFile, s.cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("cert_file, key_file: %w", err)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if s.cfg.MinVersion == "1.3" {
		conf.MinVersion = tls.VersionTLS13
	}
	if s.cfg.ClientCAFile == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(s.cfg.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("client_ca_file: %w", err)
	}
	conf.ClientCAs = x509.NewCertPool()
	if !conf.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client_ca_file: %s holds no certificate", s.cfg.ClientCAFile)
	}
	conf.ClientAuth = tls.RequestClientCert // verify does the rest, to tell why one is refused
	return conf, nil
}

// verify refuses a client certificate that no authority has signed or whose time is over. A client without one passes:
// whether it may do anything is for who reads its requests.
func (s *Server) verify(authorities *x509.CertPool, addr string, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: authorities, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil {
		return nil
	}
	reason := ReasonUntrusted
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		reason = ReasonExpired
	}
	if s.set.Refused != nil {
		s.set.Refused(addr, reason)
	}
	return fmt.Errorf("verify client certificate: %w", err)
}
