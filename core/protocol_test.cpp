// What a plugin may not answer: core tells it in one sentence, and hands out nothing.
#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "core/test_graph.hpp"
#include "core/test_plugin.hpp"

using flagos::core::test::begin_table;
using flagos::core::test::exportable;
using flagos::core::test::Fake;
using flagos::core::test::FakeOptions;
using flagos::core::test::FakeTables;
using flagos::core::test::GraphMaker;

namespace {

constexpr flagos_status_t ok = FLAGOS_STATUS_OK;
constexpr flagos_status_t protocol = FLAGOS_STATUS_PLUGIN_PROTOCOL;

FakeOptions with(void (*change)(FakeTables&)) {
  FakeOptions options;
  options.change = change;
  return options;
}

void expect_text(const std::string& part) {
  const std::string text = flagos_last_error();
  CHECK_MESSAGE(text.find(part) != std::string::npos, text);
}

flagos_status_t allocate(Fake& f, flagos_address_t* out) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 4096;
  return flagos_memory_alloc(f.device(), &desc, out);
}

flagos_module_desc_t image() {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = "fake";
  desc.data = "fake";
  desc.size_bytes = 4;
  return desc;
}

flagos_status_t find_kernel(Fake& f) {
  const flagos_module_desc_t desc = image();
  flagos_module_t* module = nullptr;
  REQUIRE(flagos_module_load(f.device(), &desc, &module) == ok);
  flagos_kernel_desc_t wanted{};
  wanted.struct_size = sizeof(wanted);
  wanted.name = "append";
  flagos_kernel_t* kernel = nullptr;
  const flagos_status_t status = flagos_module_get_kernel(module, &wanted, &kernel);
  CHECK((kernel != nullptr) == (status == ok));
  return status;
}

// Where the plugin's memory lies: the second allocation lies in the first.
flagos_address_t last_block = 0;
bool repeats = false;
flagos_status_t (*own_alloc)(flagos_plugin_device_t*, const flagos_memory_desc_t*, flagos_address_t*);

}  // namespace

TEST_CASE("protocol: OK and no object") {
  flagos_module_t* module = nullptr;
  const flagos_module_desc_t desc = image();
  SUBCASE("a module") {
    Fake f(with([](FakeTables& tables) {
      tables.module.load = [](flagos_plugin_device_t*, const flagos_module_desc_t*, flagos_plugin_module_t**) {
        return ok;
      };
    }));
    CHECK(flagos_module_load(f.device(), &desc, &module) == protocol);
    expect_text("no object from module.load");
    CHECK(module == nullptr);
  }
  SUBCASE("a kernel") {
    Fake f(with([](FakeTables& tables) {
      tables.module.get_kernel = [](flagos_plugin_module_t*, const flagos_kernel_desc_t*, flagos_plugin_kernel_t**) {
        return ok;
      };
    }));
    CHECK(find_kernel(f) == protocol);
    expect_text("no object from module.get_kernel");
  }
  SUBCASE("a prepared launch") {
    Fake f(with([](FakeTables& tables) {
      tables.kernel.prepare = [](flagos_plugin_kernel_t*, const flagos_launch_desc_t*, flagos_plugin_prepared_t**) {
        return ok;
      };
      tables.kernel.destroy_prepared = [](flagos_plugin_prepared_t*) {};
      tables.kernel.launch_prepared = [](flagos_plugin_stream_t*, flagos_plugin_prepared_t*) { return ok; };
    }));
    flagos_launch_desc_t launch{};
    launch.struct_size = sizeof(launch);
    for (int i = 0; i < 3; ++i) launch.grid[i] = launch.block[i] = 1;
    flagos_prepared_t* prepared = nullptr;
    CHECK(flagos_kernel_prepare(f.kernel("noop"), &launch, &prepared) == protocol);
    expect_text("no object from kernel.prepare");
    CHECK(prepared == nullptr);
  }
  SUBCASE("a timeline") {
    Fake f(with([](FakeTables& tables) {
      begin_table(tables.timeline);
      tables.timeline.create = [](flagos_plugin_device_t*, std::uint64_t, flagos_plugin_timeline_t**) { return ok; };
      tables.timeline.destroy = [](flagos_plugin_timeline_t*) {};
      tables.timeline.query = [](flagos_plugin_timeline_t*, std::uint64_t*) { return ok; };
      tables.timeline.signal = [](flagos_plugin_timeline_t*, std::uint64_t) { return ok; };
      tables.timeline.wait = [](std::uint32_t, flagos_plugin_timeline_t* const*, const std::uint64_t*,
                                flagos_wait_mode_t, std::uint64_t, std::uint32_t*) { return ok; };
      tables.timeline.fail = [](flagos_plugin_timeline_t*, flagos_status_t) { return ok; };
      tables.timeline.stream_wait = [](flagos_plugin_stream_t*, flagos_plugin_timeline_t*, std::uint64_t) {
        return ok;
      };
      tables.timeline.stream_signal = tables.timeline.stream_wait;
    }));
    flagos_timeline_t* timeline = nullptr;
    CHECK(flagos_timeline_create(f.device(), 0, &timeline) == protocol);
    expect_text("no object from timeline.create");
    CHECK(timeline == nullptr);
  }
  SUBCASE("a graph") {
    Fake f(with([](FakeTables& tables) {
      begin_table(tables.graph);
      tables.graph.instantiate = [](flagos_plugin_device_t*, const flagos_plugin_graph_node_t*, std::uint32_t,
                                    flagos_plugin_graph_t**) { return ok; };
      tables.graph.launch = [](flagos_plugin_graph_t*, flagos_plugin_stream_t*) { return ok; };
      tables.graph.update = [](flagos_plugin_graph_t*, const flagos_plugin_graph_node_t*, std::uint32_t) { return ok; };
      tables.graph.destroy = [](flagos_plugin_graph_t*) {};
    }));
    GraphMaker g(f);
    g.append(1);
    flagos_graph_exec_t* exec = nullptr;
    CHECK(flagos_graph_instantiate(g.graph(), &exec) == protocol);
    expect_text("no object from graph.instantiate");
    CHECK(exec == nullptr);
  }
  SUBCASE("a device") {
    static bool is_empty = false;
    static flagos_status_t (*own_open)(flagos_plugin_instance_t*, std::uint32_t, flagos_plugin_device_t**);
    Fake f(with([](FakeTables& tables) {
      own_open = tables.device.open;
      tables.device.open = [](flagos_plugin_instance_t* instance, std::uint32_t index, flagos_plugin_device_t** out) {
        return is_empty ? ok : own_open(instance, index, out);
      };
    }));
    is_empty = true;
    flagos_device_t* device = nullptr;
    CHECK(flagos_device_open(f.runtime(), 1, &device) == protocol);
    is_empty = false;
    expect_text("no object for an open device");
    CHECK(device == nullptr);
  }
  SUBCASE("an event of the vendor's") {
    FakeOptions options = with([](FakeTables& tables) {
      tables.interop.wrap_native_event = [](flagos_plugin_device_t*, const flagos_native_t*, std::uint64_t,
                                            flagos_plugin_event_t**) { return ok; };
    });
    options.native = true;
    Fake f(options);
    flagos_native_t native{};
    native.struct_size = sizeof(native);
    std::strcpy(native.type, "fake_event");
    native.handle_count = 1;
    flagos_event_t* event = nullptr;
    CHECK(flagos_event_wrap_native(f.device(), &native, 0, &event) == protocol);
    expect_text("no object from interop.wrap_native_event");
    CHECK(event == nullptr);
  }
}

TEST_CASE("protocol: kernels whose parameters do not fit") {
  SUBCASE("an argument block that the device does not take") {
    static flagos_status_t (*own_info)(flagos_plugin_kernel_t*, flagos_kernel_info_t*);
    Fake f(with([](FakeTables& tables) {
      own_info = tables.kernel.get_info;
      tables.kernel.get_info = [](flagos_plugin_kernel_t* kernel, flagos_kernel_info_t* out) {
        const flagos_status_t status = own_info(kernel, out);
        out->argument_bytes = 1 << 20;
        return status;
      };
    }));
    CHECK(find_kernel(f) == protocol);
    expect_text("parameters in 1048576 bytes");
  }
  SUBCASE("a parameter past the block") {
    Fake f(with([](FakeTables& tables) {
      tables.kernel.get_parameter = [](flagos_plugin_kernel_t*, std::uint32_t, flagos_parameter_t* out) {
        *out = {FLAGOS_DTYPE_UINT32, 4, 4, 8};
        return ok;
      };
    }));
    CHECK(find_kernel(f) == protocol);
    expect_text("ends past its argument block");
  }
}

TEST_CASE("protocol: a status that is no answer of the entry") {
  FakeOptions options = with([](FakeTables& tables) {
    tables.memory.host_register = [](flagos_plugin_device_t*, void*, std::uint64_t, std::uint32_t, flagos_address_t*) {
      return flagos_status_t{FLAGOS_STATUS_TIMEOUT};
    };
  });
  options.host_register = true;
  Fake f(options);
  alignas(4096) static char page[4096];
  flagos_address_t address = 0;
  CHECK(flagos_memory_host_register(f.device(), page, sizeof(page), 0, &address) == protocol);
  expect_text("which has no such answer");
  CHECK(address == 0);
}

TEST_CASE("protocol: memory of a pool that is not aligned, or given out already") {
  static std::uint64_t shift = 0;
  shift = 0;
  repeats = false;
  last_block = 0;
  Fake f(with([](FakeTables& tables) {
    own_alloc = tables.memory.alloc;
    tables.memory.alloc = [](flagos_plugin_device_t* device, const flagos_memory_desc_t* desc, flagos_address_t* out) {
      if (repeats || shift != 0) {
        *out = last_block + shift;
        return ok;
      }
      const flagos_status_t status = own_alloc(device, desc, out);
      last_block = *out;
      return status;
    };
  }));
  flagos_memory_pool_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  flagos_memory_pool_t* pool = nullptr;
  REQUIRE(flagos_memory_pool_create(f.device(), &desc, &pool) == ok);
  flagos_stream_t* stream = f.stream();
  flagos_address_t kept = 0, address = 0;
  REQUIRE(allocate(f, &kept) == ok);
  shift = 8;
  CHECK(flagos_memory_pool_alloc(pool, stream, 100, &address) == protocol);
  expect_text("which is not aligned to 256");
  shift = 0;
  repeats = true;
  CHECK(flagos_memory_pool_alloc(pool, stream, 100, &address) == protocol);
  expect_text("inside a live allocation");
  CHECK(address == 0);
  repeats = false;
  REQUIRE(flagos_memory_pool_alloc(pool, stream, 100, &address) == ok);
  CHECK(flagos_memory_pool_free(pool, stream, address) == ok);
  CHECK(flagos_memory_free(f.device(), kept) == ok);
}

TEST_CASE("protocol: registered memory inside other memory is given back") {
  static flagos_address_t inside = 0;
  inside = 0;
  FakeOptions options = with([](FakeTables& tables) {
    static flagos_status_t (*own)(flagos_plugin_device_t*, void*, std::uint64_t, std::uint32_t, flagos_address_t*);
    own = tables.memory.host_register;
    tables.memory.host_register = [](flagos_plugin_device_t* device, void* host, std::uint64_t size,
                                     std::uint32_t flags, flagos_address_t* out) {
      const flagos_status_t status = own(device, host, size, flags, out);
      if (inside != 0) *out = inside;
      return status;
    };
  });
  options.host_register = true;
  Fake f(options);
  inside = f.alloc(4096) + 256;
  const flagos_memory_desc_t desc = exportable(FLAGOS_MEMORY_KIND_DEVICE, 4096);
  flagos_address_t address = 0;
  CHECK(flagos_memory_alloc(f.device(), &desc, &address) == protocol);
  expect_text("inside a live allocation");
  CHECK(address == 0);
  CHECK(flagos::core::test::fake().registered == 0);
}

TEST_CASE("protocol: a native object without handles") {
  FakeOptions options = with([](FakeTables& tables) {
    tables.interop.get_native_stream = [](flagos_plugin_stream_t*, flagos_native_t*) { return ok; };
  });
  options.native = true;
  Fake f(options);
  flagos_native_t native{};
  native.struct_size = sizeof(native);
  CHECK(flagos_stream_get_native(f.stream(), &native) == protocol);
  expect_text("with 0 handles");
}

TEST_CASE("protocol: operators without a name") {
  static bool has_one = false;
  static const flagos_operators_table_t nameless = {
      sizeof(nameless), 1,
      [](flagos_plugin_device_t*, std::uint32_t, flagos_operator_info_t*) {
        return has_one ? ok : flagos_status_t{FLAGOS_STATUS_NOT_FOUND};
      },
      [](flagos_plugin_device_t*, const flagos_operator_desc_t*, flagos_operator_support_t*) { return ok; },
      [](flagos_plugin_stream_t*, const flagos_operator_desc_t*) { return ok; }};
  FakeOptions options;
  options.operators = &nameless;
  Fake f(options);
  has_one = true;
  flagos_device_t* device = nullptr;
  CHECK(flagos_device_open(f.runtime(), 1, &device) == protocol);
  has_one = false;
  expect_text("operator 0 of the plugin has no name");
  CHECK(device == nullptr);
}

TEST_CASE("protocol: formats without an end") {
  Fake f(with([](FakeTables& tables) {
    tables.module.get_format = [](flagos_plugin_device_t*, std::uint32_t, flagos_format_info_t* out_info) {
      std::strcpy(out_info->name, "again");
      return ok;
    };
  }));
  const std::string text = "no module of flagos.tile";
  flagos_module_desc_t desc = image();
  desc.format = "flagos.tile";
  desc.data = text.data();
  desc.size_bytes = text.size();
  flagos_module_t* module = nullptr;
  CHECK(flagos_module_load(f.device(), &desc, &module) == protocol);
  expect_text("the plugin reports more than");
  CHECK(module == nullptr);
}
