package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// dropGhosts removes from the deduplication logs of all tables the tokens of blocks that never became a part.
//
// A MergeTree table writes the token of a block to its log before it renames the block's temporary part into place. A
// process that is killed in between leaves a token without rows, and a repeat of the insert under the same token
// would be acknowledged and dropped. It must run before the engine opens the folder: afterwards another block may
// have the ghost's part name. db is the engine's path; it returns the number of tokens removed.
func dropGhosts(db string) (int, error) {
	logs, err := filepath.Glob(filepath.Join(db, "store", "*", "*", "deduplication_logs", "deduplication_log_*.txt"))
	if err != nil {
		return 0, fmt.Errorf("find deduplication logs: %w", err)
	}
	dropped, parts := 0, map[string]tableParts{}
	for _, log := range logs {
		table := filepath.Dir(filepath.Dir(log))
		if parts[table] == nil {
			if parts[table], err = readParts(table); err != nil {
				return dropped, err
			}
		}
		n, err := dropGhostsOf(log, parts[table])
		dropped += n
		if err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// tableParts are the block ranges of a table's parts by partition.
type tableParts map[string][][2]int64

func readParts(table string) (tableParts, error) {
	entries, err := os.ReadDir(table)
	if err != nil {
		return nil, fmt.Errorf("list parts: %w", err)
	}
	parts := tableParts{}
	for _, entry := range entries {
		if partition, first, last, ok := parsePart(entry.Name()); ok && entry.IsDir() {
			parts[partition] = append(parts[partition], [2]int64{first, last})
		}
	}
	return parts, nil
}

func (p tableParts) cover(partition string, first, last int64) bool {
	for _, r := range p[partition] {
		if r[0] <= first && last <= r[1] {
			return true
		}
	}
	return false
}

// parsePart reads a part's name: partition_first_last_level, and a mutation after it. Temporary parts have another
// form.
func parsePart(name string) (partition string, first, last int64, ok bool) {
	fields := strings.Split(name, "_")
	if len(fields) != 4 && len(fields) != 5 {
		return "", 0, 0, false
	}
	var numbers [3]int64
	for i := range numbers {
		n, err := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil {
			return "", 0, 0, false
		}
		numbers[i] = n
	}
	return fields[0], numbers[0], numbers[1], true
}

// dropGhostsOf rewrites one log without the tokens whose part is not there. A line is "operation, part, token" between
// tabs; operation 1 adds a token.
func dropGhostsOf(log string, parts tableParts) (int, error) {
	data, err := os.ReadFile(log)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read deduplication log: %w", err)
	}
	var kept bytes.Buffer
	dropped := 0
	for line := range bytes.Lines(data) {
		fields := strings.Split(strings.TrimSuffix(string(line), "\n"), "\t")
		if len(fields) == 3 && fields[0] == "1" {
			if partition, first, last, ok := parsePart(fields[1]); ok && !parts.cover(partition, first, last) {
				dropped++
				continue
			}
		}
		kept.Write(line)
	}
	if dropped == 0 {
		return 0, nil
	}
	if err := replace(log, kept.Bytes()); err != nil {
		return 0, fmt.Errorf("rewrite deduplication log: %w", err)
	}
	return dropped, nil
}

// replace writes a file so that it is the old one or the new one, whenever the process ends.
func replace(path string, data []byte) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
