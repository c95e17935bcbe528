#include "plugins/nvidia/fake_driver/fiber.hpp"

#if defined(__x86_64__)

// Keeps what the calling convention says a function must keep; everything else the caller has saved.
asm(R"(
.text
.hidden flagos_fake_switch
.global flagos_fake_switch
.type flagos_fake_switch, @function
flagos_fake_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size flagos_fake_switch, .-flagos_fake_switch
)");
extern "C" void flagos_fake_switch(void** out_here, void* there);

namespace flagos::nvidia::fake {

void* make_fiber(std::byte* top, void (*entry)()) {
  auto* words =
      reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::uint64_t>(top) & ~std::uint64_t{15});
  *--words = 0;  // where entry would return to: the stack is aligned as behind a call
  *--words = reinterpret_cast<std::uint64_t>(entry);
  for (int i = 0; i < 6; ++i) *--words = 0;
  return words;
}

void switch_to(void** out_here, void* there) { flagos_fake_switch(out_here, there); }

}  // namespace flagos::nvidia::fake

#else

#include <ucontext.h>

namespace flagos::nvidia::fake {

// The context lies at the top of the stack itself.
void* make_fiber(std::byte* top, void (*entry)()) {
  auto* context = reinterpret_cast<ucontext_t*>(
      (reinterpret_cast<std::uint64_t>(top) - sizeof(ucontext_t)) & ~std::uint64_t{63});
  getcontext(context);
  context->uc_stack.ss_sp = top - stack_bytes;
  context->uc_stack.ss_size =
      static_cast<std::size_t>(reinterpret_cast<std::byte*>(context) - (top - stack_bytes));
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  return context;
}

void switch_to(void** out_here, void* there) {
  ucontext_t here;
  *out_here = &here;
  swapcontext(&here, static_cast<ucontext_t*>(there));
}

}  // namespace flagos::nvidia::fake

#endif
