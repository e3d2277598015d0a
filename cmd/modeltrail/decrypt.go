package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/ingest/tap"
	"github.com/modeltrail/modeltrail/schemas/event"
)

func newDecrypt() *cobra.Command {
	var keyFile string
	cmd := &cobra.Command{
		Use: "decrypt CALL_ID", GroupID: "ask", Short: "Print the bodies of a call captured in mode full",
		Long: `decrypt reads the encrypted bodies of one call from ClickHouse and prints them in clear. It needs the key that the
tap had in tap.encryption_key; the key never leaves this process.`,
		Example: "  modeltrail decrypt 01992f5e-... --key-file payload.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := readKey(keyFile)
			if err != nil {
				return err
			}
			return decrypt(cmd, args[0], key)
		},
	}
	cmd.Flags().StringVar(&keyFile, "key-file", "", "file with the 32-byte key as hex or base64 (required)")
	_ = cmd.MarkFlagRequired("key-file")
	return cmd
}

func readKey(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	text := strings.TrimSpace(string(data))
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString} {
		if key, err := decode(text); err == nil && len(key) == 32 {
			return key, nil
		}
	}
	return nil, fmt.Errorf("--key-file: %s does not hold 32 bytes as hex or base64", path)
}

func decrypt(cmd *cobra.Command, callID string, key []byte) error {
	ctx := cmd.Context()
	cfg, err := located(cmd)
	if err != nil {
		return err
	}
	conn, err := app.OpenClickHouse(ctx, cfg.ClickHouse)
	if err != nil {
		return err
	}
	defer conn.Close()
	query := fmt.Sprintf(`SELECT toInt32(phase), key_id, body FROM %s.v_payloads
WHERE call_id = ? AND capture_mode = 'full' AND body != '' ORDER BY phase`, cfg.ClickHouse.Database)
	rows, err := conn.Query(ctx, query, callID)
	if err != nil {
		return fmt.Errorf("read payloads: %w", err)
	}
	defer rows.Close()
	found := false
	for rows.Next() {
		var phase int32
		var keyID string
		var body []byte
		if err := rows.Scan(&phase, &keyID, &body); err != nil {
			return fmt.Errorf("read payloads: %w", err)
		}
		payload := &event.Payload{Body: body, KeyId: keyID}
		envelope := &event.Envelope{
			CallId: callID, Phase: event.Phase(phase), CaptureMode: event.CaptureMode_CAPTURE_MODE_FULL,
			Request: &event.Request{}, Response: &event.Response{},
		}
		if envelope.Phase == event.Phase_PHASE_REQUEST {
			envelope.Request.Payload = payload
		} else {
			envelope.Response.Payload = payload
		}
		clear, err := tap.Open(key, envelope)
		if err != nil {
			return fmt.Errorf("decrypt %s under key %q: %w", envelope.Phase, keyID, err)
		}
		found = true
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n", clear)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read payloads: %w", err)
	}
	if !found {
		return fmt.Errorf("call %s has no encrypted body in %s.payloads", callID, cfg.ClickHouse.Database)
	}
	return nil
}
