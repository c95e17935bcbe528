// Makes the n-th allocation, or system call, of a thread fail. The program's own malloc, mmap, ... come before those
// of libc for every library, so core and plugins see the fault as they would see an exhausted machine.
#pragma once

#include <cstdint>

namespace flagos::faults {

enum class Kind { allocation, system_call };
enum class Lasting { once, from_then_on };

// Of the calling thread, until disarm: call number `nth` (from 1) of `kind` fails, or all from there on.
void arm(Kind kind, Lasting lasting, std::uint64_t nth);
// Keeps the count: resume goes on from there.
void pause();
void resume();
void disarm();
std::uint64_t failed();  // how many were made to fail since arm

// Blocks of memory that are allocated now, of all threads.
std::int64_t live_blocks();

}  // namespace flagos::faults
