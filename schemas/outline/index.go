package outline

// The rules are found through an open-addressed table of their positions, filled once. Looking up keys is most of what
// an outline costs, and a hash of a few of their bytes is enough for a fixed set.
const slots = 512

var index = makeIndex()

func makeIndex() (table [slots]uint8) {
	for i, r := range rules {
		h := hash(r.in, r.key)
		for table[h] != 0 {
			h = (h + 1) % slots
		}
		table[h] = uint8(i + 1)
	}
	return table
}

func hash[T string | []byte](in place, key T) uint {
	if len(key) == 0 {
		return uint(in)
	}
	return (uint(in)*61 + uint(len(key))*131 + uint(key[0])*7 + uint(key[len(key)-1])*29 + uint(key[len(key)/2])*3) % slots
}

// find returns the rule of a key, or nil when the key is not allowed in that place.
func find(in place, key []byte) *rule {
	for h := hash(in, key); index[h] != 0; h = (h + 1) % slots {
		if r := &rules[index[h]-1]; r.in == in && r.key == string(key) {
			return r
		}
	}
	return nil
}
