// Calls at the end of a process: from destructors of globals and from atexit handlers.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "conformance/cases/entries.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

// Objects or handles that outlive main; the last act of the process calls every entry with them.
struct Legacy {
  World* world = nullptr;
  bool armed = false;
  int last_code = 0;

  // Every call must come back with a status; what there is left to use is not laid down.
  void call_everything() const {
    for (const Entry& entry : entries()) {
      // These end things: a runtime that still has work would be waited for.
      if (entry.name == "flagos_runtime_destroy" || entry.name == "flagos_set_log_callback")
        continue;
      Call call(*world, entry);
      call.run();
    }
  }
  ~Legacy() {
    if (!armed) return;
    call_everything();
    _Exit(last_code);
  }
};

Legacy& legacy() {
  static Legacy instance;
  return instance;
}

// A world with one object of each type in a runtime of its own, and data that went through it.
World* used_world(Context& t) {
  flagos_runtime_t* runtime = nullptr;
  const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                   FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
  t.ok(flagos_runtime_create(&desc, &runtime), "create a runtime");
  t.ok(flagos_runtime_add_plugin(runtime, t.settings().plugin_path.c_str()), "load the plugin");
  World* const world = new World(t, runtime, t.settings().device_ordinal);
  const auto launch = world->valid<flagos_launch_desc_t>();
  t.ok(flagos_kernel_launch(world->stream(), world->kernel(), &launch), "launch");
  const auto after = world->snapshot();
  t.check(std::memcmp(after.data() + 256, after.data(), 64) == 0, "the kernel copied 16 words");
  return world;
}

// Globals are destroyed after the runtime was shut down in order.
FLAGOS_HELPER("life_global_objects") {
  entries();  // described before, so that the description outlives the object that uses it
  legacy().last_code = 43;
  const int code = run_checks(h, [](Context& t) {
    World* const world = used_world(t);
    legacy().world = new World(world->handles());
    flagos_runtime_t* const runtime = world->runtime();
    t.status(world->close(), ok, "destroy all objects");
    delete world;
    t.ok(flagos_runtime_destroy(runtime), "destroy the runtime");
  });
  legacy().armed = code == 0;
  return code;
}

// An atexit handler calls while everything is alive, then the process goes on ending.
FLAGOS_HELPER("life_atexit") {
  entries();
  const int code = run_checks(h, [](Context& t) {
    legacy().world = used_world(t);
    legacy().world->expect_nothing();
  });
  if (code != 0) return code;
  std::atexit([] { legacy().call_everything(); });
  std::exit(44);
}

void expect_code(Context& t, const std::string& helper, int expected) {
  std::string text;
  const int code = t.run_helper(helper, {}, 60, &text);
  t.check(code == expected, "the process ends with " + std::to_string(expected) +
                                ", it ended with " + std::to_string(code) + ": " + text);
  t.smoke();  // it left the device as it found it
}

}  // namespace

FLAGOS_CASE("life.global_static_objects",
            {.clause = "design 3: exit; calls from destructors of globals",
             .oracle = Oracle::live,
             .isolation = Isolation::own}) {
  expect_code(t, "life_global_objects", 43);
}

FLAGOS_CASE("life.atexit_call", {.clause = "design 3: exit; calls from atexit handlers",
                                 .oracle = Oracle::live,
                                 .isolation = Isolation::own}) {
  expect_code(t, "life_atexit", 44);
}

}  // namespace flagos::conformance
