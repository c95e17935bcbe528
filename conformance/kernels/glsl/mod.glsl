#pragma flagos kernel(mod_read_marker, mod_read_global, mod_read_global_negated)

#ifdef FLAGOS_KERNEL_mod_read_marker
// FLAGOS-MARK-0001, four letters in a word.
ARGUMENTS { POINTER(Words, target); } a;
BUFFER(0, Words, target)
void main() {
  AT(target, 0) = 0x47414c46u;
  AT(target, 1) = 0x4d2d534fu;
  AT(target, 2) = 0x2d4b5241u;
  AT(target, 3) = 0x31303030u;
}
#endif

#ifdef FLAGOS_KERNEL_mod_read_global
ARGUMENTS { POINTER(Words, target); } a;
BUFFER(0, Words, target)
void main() {
  for (uint i = 0; i < 4; ++i) AT(target, i) = 11 * (i + 1);
}
#endif

#ifdef FLAGOS_KERNEL_mod_read_global_negated
ARGUMENTS { POINTER(Words, target); } a;
BUFFER(0, Words, target)
void main() {
  for (uint i = 0; i < 4; ++i) AT(target, i) = ~(11 * (i + 1));
}
#endif
