package engine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/modeltrail/modeltrail/schemas/secret"
)

// user completes a user: without a configured password one is generated and kept in the data folder, readable by
// its owner only.
func (e *Engine) user(role, name string, password secret.Secret) (User, error) {
	if !password.IsZero() {
		return User{Name: name, Password: password}, nil
	}
	path := filepath.Join(e.cfg.DataDir, role+".password")
	kept, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(kept))) > 0 {
		return User{Name: name, Password: secret.New(strings.TrimSpace(string(kept)))}, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return User{}, fmt.Errorf("read %s password: %w", role, err)
	}
	generated := rand.Text()
	if err := os.WriteFile(path, []byte(generated+"\n"), 0o600); err != nil {
		return User{}, fmt.Errorf("keep %s password: %w", role, err)
	}
	return User{Name: name, Password: secret.New(generated)}, nil
}
