// Package background gives way to calls: what the audit computes runs on threads that get what calls leave, as long as
// there is something left.
package background
