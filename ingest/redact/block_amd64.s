#include "textflag.h"

// The bit of a high half; none for bytes beyond ASCII.
DATA bitOf<>+0(SB)/8, $0x8040201008040201
DATA bitOf<>+8(SB)/8, $0
GLOBL bitOf<>(SB), RODATA|NOPTR, $16

DATA lowHalf<>+0(SB)/8, $0x0F0F0F0F0F0F0F0F
DATA lowHalf<>+8(SB)/8, $0x0F0F0F0F0F0F0F0F
GLOBL lowHalf<>(SB), RODATA|NOPTR, $16

// MARK looks up the rows of one mark for the low halves in Y0 and Y1, keeps the bits of the high halves in Y2 and Y3 and
// stores which bytes have theirs set. Y15 is zero.
#define MARK(n) \
	VBROADCASTI128 (16*n)(DX), Y4 \
	VPSHUFB   Y0, Y4, Y5   \
	VPSHUFB   Y1, Y4, Y6   \
	VPAND     Y2, Y5, Y5   \
	VPAND     Y3, Y6, Y6   \
	VPCMPEQB  Y15, Y5, Y5  \
	VPCMPEQB  Y15, Y6, Y6  \
	VPMOVMSKB Y5, AX       \
	VPMOVMSKB Y6, CX       \
	SHLQ      $32, CX      \
	ORQ       CX, AX       \
	NOTQ      AX           \
	MOVQ      AX, (8*n)(DI)

// func readAVX2(b *block, text *[64]byte, rows *[8][16]byte)
TEXT ·readAVX2(SB), NOSPLIT, $0-24
	MOVQ b+0(FP), DI
	MOVQ text+8(FP), SI
	MOVQ rows+16(FP), DX
	VBROADCASTI128 lowHalf<>(SB), Y14
	VBROADCASTI128 bitOf<>(SB), Y13
	VPXOR   Y15, Y15, Y15
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VPSRLW  $4, Y0, Y2
	VPSRLW  $4, Y1, Y3
	VPAND   Y14, Y2, Y2
	VPAND   Y14, Y3, Y3
	VPSHUFB Y2, Y13, Y2
	VPSHUFB Y3, Y13, Y3
	VPAND   Y14, Y0, Y0
	VPAND   Y14, Y1, Y1
	MARK(0)
	MARK(1)
	MARK(2)
	MARK(3)
	MARK(4)
	MARK(5)
	MARK(6)
	MARK(7)
	VZEROUPPER
	RET
