#pragma flagos kernel(mod_read_marker, mod_read_global, mod_read_global_negated)

#ifdef FLAGOS_KERNEL_mod_read_marker
// FLAGOS-MARK-0001, four letters in a word.
ARGUMENTS { Words target; } a;
void main() {
  a.target.at[0] = 0x47414c46u;
  a.target.at[1] = 0x4d2d534fu;
  a.target.at[2] = 0x2d4b5241u;
  a.target.at[3] = 0x31303030u;
}
#endif

#ifdef FLAGOS_KERNEL_mod_read_global
ARGUMENTS { Words target; } a;
void main() {
  for (uint i = 0; i < 4; ++i) a.target.at[i] = 11 * (i + 1);
}
#endif

#ifdef FLAGOS_KERNEL_mod_read_global_negated
ARGUMENTS { Words target; } a;
void main() {
  for (uint i = 0; i < 4; ++i) a.target.at[i] = ~(11 * (i + 1));
}
#endif
