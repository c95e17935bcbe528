#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/dynamic_library.hpp"
#include "base/native_object.hpp"
#include "plugins/opencl/driver.hpp"
#include "plugins/opencl/test_plugin.hpp"

namespace flagos::opencl::test {
namespace {

constexpr std::uint64_t a_moment_ns = 1'000'000;
constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr std::uint32_t count = 1024;
constexpr std::uint64_t bytes = count * 4;

struct AddArguments {
  std::uint64_t data;
  std::uint32_t value;
};

flagos_native_t native_of(const char* type, std::initializer_list<std::uint64_t> handles) {
  flagos_native_t native{};
  native.struct_size = sizeof(native);
  show_native(native, type, handles);
  return native;
}

// A program that uses OpenCL beside the plugin, on the plugin's context.
struct Program {
  explicit Program(TestDevice& given)
      : device(given), interop(*given.api.interop), cl(Driver::open("libOpenCL.so.1")) {
    REQUIRE(interop.get_native_device(device.get(), &native) == ok);
    REQUIRE(std::string(native.type) == "cl_context");
    context = handle_at<cl_context>(native, 0);
    id = handle_at<cl_device_id>(native, 1);
  }
  flagos_native_t shown(flagos_address_t address) const {
    flagos_native_t memory = native_of("", {});
    REQUIRE(interop.get_native_memory(device.get(), address, &memory) == ok);
    return memory;
  }
  cl_context new_context() const {
    const cl_context_properties properties[] = {
        CL_CONTEXT_PLATFORM, static_cast<cl_context_properties>(native.handles[2]), 0};
    cl_context made = cl.clCreateContext(properties, 1, &id, nullptr, nullptr, nullptr);
    REQUIRE(made != nullptr);
    return made;
  }
  cl_command_queue queue(cl_context in, cl_command_queue_properties properties = 0) const {
    cl_command_queue made = cl.clCreateCommandQueue(in, id, properties, nullptr);
    REQUIRE(made != nullptr);
    return made;
  }
  cl_mem buffer(cl_context in, std::uint64_t size_bytes) const {
    cl_mem made = cl.clCreateBuffer(in, CL_MEM_READ_WRITE, size_bytes, nullptr, nullptr);
    REQUIRE(made != nullptr);
    return made;
  }
  cl_event user_event() const {
    cl_event made = create_user_event(context, nullptr);
    REQUIRE(made != nullptr);
    return made;
  }
  void set(cl_event event, cl_int status) const {
    REQUIRE(set_status(event, status) == CL_SUCCESS);
  }

  // How many hold on to an object. Threads of the driver may still be letting go of it.
  template <typename Object>
  std::uint64_t holders(Object object, std::uint64_t expected = 0) const {
    for (int i = 0; i < 2000 && expected != 0 && count_of(object) != expected; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return count_of(object);
  }

  TestDevice& device;
  const flagos_interop_table_t& interop;
  const Driver& cl;
  flagos_native_t native = native_of("", {});
  cl_context context = nullptr;
  cl_device_id id = nullptr;

 private:
  cl_uint count_of(cl_mem object) const {
    return ask(cl.clGetMemObjectInfo, object, CL_MEM_REFERENCE_COUNT);
  }
  cl_uint count_of(cl_event object) const {
    return ask(cl.clGetEventInfo, object, CL_EVENT_REFERENCE_COUNT);
  }
  cl_uint count_of(cl_command_queue object) const {
    return ask(cl.clGetCommandQueueInfo, object, CL_QUEUE_REFERENCE_COUNT);
  }
  cl_uint count_of(cl_context object) const {
    return ask(cl.clGetContextInfo, object, CL_CONTEXT_REFERENCE_COUNT);
  }
  template <typename Function, typename Object>
  static cl_uint ask(Function function, Object object, cl_uint what) {
    cl_uint number = 0;
    REQUIRE(function(object, what, sizeof(number), &number, nullptr) == CL_SUCCESS);
    return number;
  }
  DynamicLibrary library_{"libOpenCL.so.1"};
  decltype(&::clCreateUserEvent) create_user_event =
      reinterpret_cast<decltype(&::clCreateUserEvent)>(library_.symbol("clCreateUserEvent"));
  decltype(&::clSetUserEventStatus) set_status =
      reinterpret_cast<decltype(&::clSetUserEventStatus)>(library_.symbol("clSetUserEventStatus"));
};

// Runs `body` once for each way of having memory.
template <typename Body>
void in_each_mode(const Body& body) {
  if (!has_device()) return;
  for (const char* mode : {"", "buffer"}) {
    CAPTURE(mode);
    TestDevice device(Config{{"FLAGOS_OPENCL_MEMORY", mode}});
    const Program program(device);
    body(device, program);
  }
}

TEST_CASE("interop: an event completes with an event of the program's") {
  in_each_mode([](TestDevice& device, const Program& program) {
    flagos_plugin_stream_t* const stream = device.stream();
    const std::uint64_t data = device.alloc(4);
    for (const std::uint64_t flags : {std::uint64_t{0}, std::uint64_t{FLAGOS_WRAP_FLAG_OWN}}) {
      CAPTURE(flags);
      cl_event given = program.user_event();
      program.cl.clRetainEvent(given);
      const std::uint64_t before = program.holders(given);
      const flagos_native_t native = native_of("cl_event", {number_of(given)});
      flagos_plugin_event_t* event = nullptr;
      REQUIRE(program.interop.wrap_native_event(device.get(), &native, flags, &event) == ok);
      CHECK(device.api.event->synchronize(event, a_moment_ns) == FLAGOS_STATUS_TIMEOUT);
      flagos_native_t shown = native_of("", {});
      REQUIRE(program.interop.get_native_event(event, &shown) == ok);
      CHECK(shown.handles[0] == native.handles[0]);

      // Work of a stream waits for it as well.
      const std::uint32_t seen = device.read(stream, data, 1)[0];
      REQUIRE(device.api.stream->wait_event(stream, event) == ok);
      REQUIRE(device.launch(stream, "test_add", AddArguments{data, 6}) == ok);
      CHECK(device.api.stream->synchronize(stream, a_moment_ns) == FLAGOS_STATUS_TIMEOUT);
      program.set(given, CL_COMPLETE);
      CHECK(device.api.stream->synchronize(stream, forever) == ok);
      CHECK(device.read(stream, data, 1)[0] == seen + 6);
      CHECK(device.api.event->synchronize(event, forever) == ok);

      // It is an event as others are: recorded again, it has to do with that record only.
      REQUIRE(device.api.event->record(event, stream) == ok);
      CHECK(device.api.event->synchronize(event, forever) == ok);
      device.api.event->destroy(event);
      CHECK(program.holders(given, before - flags) == before - flags);
      program.cl.clReleaseEvent(given);
      if (flags == 0) program.cl.clReleaseEvent(given);
    }
  });
}

TEST_CASE("interop: an event of the program's that fails") {
  in_each_mode([](TestDevice& device, const Program& program) {
    cl_event given = program.user_event();
    const flagos_native_t native = native_of("cl_event", {number_of(given)});
    flagos_plugin_event_t* event = nullptr;
    REQUIRE(program.interop.wrap_native_event(device.get(), &native, FLAGOS_WRAP_FLAG_OWN,
                                              &event) == ok);
    program.set(given, -5);
    CHECK(device.api.event->synchronize(event, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
    CHECK(device.host.last_error().find("CL_OUT_OF_RESOURCES") != std::string::npos);
    device.api.event->destroy(event);

    // One of another context is not taken.
    const cl_context foreign = program.new_context();
    const cl_command_queue queue = program.queue(foreign);
    cl_event marker = nullptr;
    REQUIRE(program.cl.clEnqueueMarkerWithWaitList(queue, 0, nullptr, &marker) == CL_SUCCESS);
    const flagos_native_t other = native_of("cl_event", {number_of(marker)});
    CHECK(program.interop.wrap_native_event(device.get(), &other, 0, &event) == invalid_argument);
    program.cl.clFinish(queue);
    program.cl.clReleaseEvent(marker);
    program.cl.clReleaseCommandQueue(queue);
    program.cl.clReleaseContext(foreign);
  });
}

TEST_CASE("interop: the program waits for a record by its event") {
  in_each_mode([](TestDevice& device, const Program& program) {
    flagos_plugin_stream_t* const stream = device.stream();
    for (const std::uint32_t flags : {0u, std::uint32_t{FLAGOS_EVENT_FLAG_NO_TIMING}}) {
      flagos_plugin_event_t* const event = device.event(flags);
      flagos_native_t native = native_of("", {});
      CHECK(program.interop.get_native_event(event, &native) == FLAGOS_STATUS_UNSUPPORTED);
      CHECK(device.host.last_error().find("never recorded") != std::string::npos);
      const std::uint64_t data = device.alloc(bytes);
      REQUIRE(device.launch(stream, "test_add", AddArguments{data, 6}, count / 64, 64) == ok);
      REQUIRE(device.api.event->record(event, stream) == ok);
      REQUIRE(program.interop.get_native_event(event, &native) == ok);
      CHECK(std::string(native.type) == "cl_event");
      const auto shown = handle_at<cl_event>(native, 0);
      CHECK(program.cl.clWaitForEvents(1, &shown) == CL_SUCCESS);
      CHECK(device.api.event->synchronize(event, 0) == ok);
    }
  });
}

TEST_CASE("interop: buffers of the program's, given away or not") {
  in_each_mode([](TestDevice& device, const Program& program) {
    flagos_plugin_stream_t* const stream = device.stream();
    const std::uint64_t step = 4096;  // a multiple of every base alignment
    for (const std::uint64_t flags : {std::uint64_t{0}, std::uint64_t{FLAGOS_WRAP_FLAG_OWN}}) {
      CAPTURE(flags);
      cl_mem given = program.buffer(program.context, bytes + step);
      program.cl.clRetainMemObject(given);
      const std::uint64_t before = program.holders(given);
      const flagos_native_t native =
          native_of("cl_mem", {number_of(given), number_of(program.context), step});
      flagos_address_t address = 0, again = 0;
      REQUIRE(program.interop.wrap_native_memory(device.get(), &native, bytes, flags, &address) ==
              ok);
      CHECK(program.interop.wrap_native_memory(device.get(), &native, bytes, flags, &again) ==
            invalid_argument);
      const flagos_native_t shown = program.shown(address + 8);
      CHECK(std::string(shown.type) == "cl_mem");
      CHECK(shown.handles[0] == native.handles[0]);
      CHECK(shown.handles[1] == native.handles[1]);
      CHECK(shown.handles[2] == step + 8);

      // From and to all that there is: the host, memory of the plugin's, itself, and in kernels.
      const std::uint64_t own = device.alloc(bytes);
      std::vector<std::uint32_t> words(count);
      std::iota(words.begin(), words.end(), 0u);
      const std::uint32_t pattern = 0x01020304;
      const auto copy = [&](std::uint64_t target, std::uint64_t source, std::uint64_t size) {
        REQUIRE(device.api.memory->copy(stream, target, source, size) == ok);
      };
      copy(address, address_of(words.data()), bytes);
      REQUIRE(device.launch(stream, "test_add", AddArguments{address, 6}, count / 64, 64) == ok);
      copy(own, address, bytes);
      REQUIRE(device.api.memory->fill(stream, address, &pattern, 4, 16) == ok);
      REQUIRE(device.api.memory->fill(stream, address + 18, &pattern, 4, 8) == ok);
      copy(address + 64, own, 64);
      copy(address + 128, address + 64, 64);
      copy(address + 132, address + 128, 64);  // overlaps, as memmove
      std::vector<std::uint32_t> expected(count);
      std::iota(expected.begin(), expected.end(), 6u);
      CHECK(device.read(stream, own, count) == expected);
      std::fill_n(expected.begin(), 4, pattern);
      expected[4] = 0x0304000a;
      expected[5] = 0x03040102;
      expected[6] = 0x00000102;
      std::iota(expected.begin() + 16, expected.begin() + 32, 6u);
      std::iota(expected.begin() + 32, expected.begin() + 33, 6u);
      std::iota(expected.begin() + 33, expected.begin() + 49, 6u);
      CHECK(device.read(stream, address, count) == expected);

      // Its own program sees the bytes.
      const cl_command_queue queue = program.queue(program.context);
      std::vector<std::uint32_t> seen(count);
      CHECK(program.cl.clEnqueueReadBuffer(queue, given, CL_TRUE, step, bytes, seen.data(), 0,
                                           nullptr, nullptr) == CL_SUCCESS);
      CHECK(seen == expected);
      program.cl.clReleaseCommandQueue(queue);
      // A kernel holds on to the buffer of its last launch.
      REQUIRE(device.launch(stream, "test_add", AddArguments{own, 6}, count / 64, 64) == ok);
      REQUIRE(device.api.stream->synchronize(stream, forever) == ok);
      device.api.memory->free(device.get(), address);
      CHECK(program.holders(given, before - flags) == before - flags);
      program.cl.clReleaseMemObject(given);
      if (flags == 0) program.cl.clReleaseMemObject(given);
    }
  });
}

TEST_CASE("interop: memory that cannot be wrapped") {
  in_each_mode([](TestDevice& device, const Program& program) {
    flagos_address_t address = 0;
    const auto wrap = [&](const flagos_native_t& native) {
      return program.interop.wrap_native_memory(device.get(), &native, bytes, 0, &address);
    };
    cl_mem mine = program.buffer(program.context, bytes);
    const auto native = [&](std::uint64_t offset) {
      return native_of("cl_mem", {number_of(mine), number_of(program.context), offset});
    };
    CHECK(wrap(native(4)) == invalid_argument);
    CHECK(device.host.last_error() == "4096 bytes at 4 end past a cl_mem of 4096 bytes");
    CHECK(wrap(native(UINT64_MAX)) == invalid_argument);
    flagos_native_t changed = native(0);
    changed.handles[1] += 8;
    CHECK(wrap(changed) == invalid_argument);
    const cl_context foreign = program.new_context();
    cl_mem theirs = program.buffer(foreign, bytes);
    CHECK(wrap(native_of("cl_mem", {number_of(theirs), number_of(program.context), 0})) ==
          invalid_argument);
    CHECK(device.host.last_error().find("another context") != std::string::npos);
    // What is the device's own is not somebody else's.
    CHECK(wrap(program.shown(device.alloc(bytes))) == invalid_argument);
    CHECK(wrap(native(0)) == ok);
    device.api.memory->free(device.get(), address);
    program.cl.clReleaseMemObject(theirs);
    program.cl.clReleaseMemObject(mine);
    program.cl.clReleaseContext(foreign);
  });
}

TEST_CASE("interop: shared virtual memory of the program's") {
  in_each_mode([](TestDevice& device, const Program& program) {
    flagos_plugin_stream_t* const stream = device.stream();
    const flagos_native_t own = program.shown(device.alloc(bytes) + 8);
    if (std::string(own.type) != "void*") {
      flagos_address_t address = 0;
      const flagos_native_t native =
          native_of("void*", {number_of(&address), number_of(program.context), 0});
      CHECK(program.interop.wrap_native_memory(device.get(), &native, 8, 0, &address) ==
            FLAGOS_STATUS_UNSUPPORTED);
      return;
    }
    for (const std::uint64_t flags : {std::uint64_t{0}, std::uint64_t{FLAGOS_WRAP_FLAG_OWN}}) {
      CAPTURE(flags);
      void* const given = program.cl.clSVMAlloc(program.context, CL_MEM_READ_WRITE, bytes + 256, 0);
      REQUIRE(given != nullptr);
      const flagos_native_t native =
          native_of("void*", {number_of(given), number_of(program.context), 256});
      flagos_address_t address = 0, again = 0;
      REQUIRE(program.interop.wrap_native_memory(device.get(), &native, bytes, flags, &address) ==
              ok);
      CHECK(address == number_of(given) + 256);
      CHECK(program.interop.wrap_native_memory(device.get(), &native, bytes, flags, &again) ==
            invalid_argument);
      CHECK(program.shown(address + 4).handles[0] == number_of(given));
      CHECK(program.shown(address + 4).handles[2] == 260);
      const std::uint32_t pattern = 5;
      REQUIRE(device.api.memory->fill(stream, address, &pattern, 4, bytes) == ok);
      REQUIRE(device.launch(stream, "test_add", AddArguments{address, 6}, count / 64, 64) == ok);
      CHECK(device.read(stream, address, count) == std::vector<std::uint32_t>(count, 11));
      device.api.memory->free(device.get(), address);
      if (flags == 0) program.cl.clSVMFree(program.context, given);
    }
  });
}

TEST_CASE("interop: what the program puts into a stream's queue is in order with the stream") {
  in_each_mode([](TestDevice& device, const Program& program) {
    flagos_plugin_stream_t* const stream = device.stream();
    const std::uint64_t data = device.alloc(bytes);
    cl_mem given = program.buffer(program.context, bytes);
    const flagos_native_t memory =
        native_of("cl_mem", {number_of(given), number_of(program.context), 0});
    flagos_address_t address = 0;
    REQUIRE(program.interop.wrap_native_memory(device.get(), &memory, bytes, FLAGOS_WRAP_FLAG_OWN,
                                               &address) == ok);
    REQUIRE(device.launch(stream, "test_add", AddArguments{data, 6}, count / 64, 64) == ok);
    flagos_native_t native = native_of("", {});
    REQUIRE(program.interop.get_native_stream(stream, &native) == ok);
    CHECK(std::string(native.type) == "cl_command_queue");
    const auto queue = handle_at<cl_command_queue>(native, 0);
    REQUIRE(device.api.memory->copy(stream, address, data, bytes) == ok);
    const cl_uint nine = 9;
    REQUIRE(program.cl.clEnqueueFillBuffer(queue, given, &nine, 4, 0, 16, 0, nullptr, nullptr) ==
            CL_SUCCESS);
    REQUIRE(device.launch(stream, "test_add", AddArguments{address, 1}, count / 64, 64) == ok);
    REQUIRE(device.api.event->record(device.event(), stream) == ok);  // one with a time
    flagos_native_t later = native_of("", {});
    REQUIRE(program.interop.get_native_stream(stream, &later) == ok);
    CHECK(later.handles[0] == native.handles[0]);
    std::vector<std::uint32_t> expected(count, 7);
    for (std::size_t i = 0; i < 4; ++i) expected[i] = 10;
    CHECK(device.read(stream, address, count) == expected);
    device.api.memory->free(device.get(), address);
  });
}

TEST_CASE("interop: queues of the program's, given away or not") {
  in_each_mode([](TestDevice& device, const Program& program) {
    const std::uint64_t data = device.alloc(bytes);
    std::uint32_t expected = 0;
    for (const cl_command_queue_properties properties :
         {cl_command_queue_properties{0}, cl_command_queue_properties{CL_QUEUE_PROFILING_ENABLE}})
      for (const std::uint64_t flags : {std::uint64_t{0}, std::uint64_t{FLAGOS_WRAP_FLAG_OWN}}) {
        CAPTURE(properties);
        CAPTURE(flags);
        const cl_command_queue given = program.queue(program.context, properties);
        program.cl.clRetainCommandQueue(given);
        const std::uint64_t before = program.holders(given);
        const flagos_native_t native = native_of("cl_command_queue", {number_of(given)});
        flagos_plugin_stream_t* stream = nullptr;
        REQUIRE(program.interop.wrap_native_stream(device.get(), &native, flags, &stream) == ok);
        flagos_plugin_event_t* events[2] = {};
        flagos_event_desc_t desc{};
        desc.struct_size = sizeof(desc);
        for (flagos_plugin_event_t*& event : events)
          REQUIRE(device.api.event->create(device.get(), &desc, &event) == ok);
        REQUIRE(device.api.event->record(events[0], stream) == ok);
        REQUIRE(device.launch(stream, "test_add", AddArguments{data, 6}, count / 64, 64) == ok);
        REQUIRE(device.api.event->record(events[1], stream) == ok);
        expected += 6;
        REQUIRE(device.api.stream->synchronize(stream, forever) == ok);
        // PoCL's buffers hold on to the queue that used them last: that is to be another one.
        CHECK(device.read(device.stream(), data, count) ==
              std::vector<std::uint32_t>(count, expected));
        // A queue of the caller's is not changed for another one: only one that takes times has any.
        std::int64_t elapsed = -1;
        CHECK(device.api.event->get_elapsed(events[0], events[1], &elapsed) ==
              (properties == 0 ? FLAGOS_STATUS_UNSUPPORTED : ok));
        flagos_native_t shown = native_of("", {});
        REQUIRE(program.interop.get_native_stream(stream, &shown) == ok);
        CHECK(shown.handles[0] == native.handles[0]);
        for (flagos_plugin_event_t* event : events) device.api.event->destroy(event);
        device.api.stream->destroy(stream);
        CHECK(program.holders(given, before - flags) == before - flags);
        program.cl.clReleaseCommandQueue(given);
        if (flags == 0) program.cl.clReleaseCommandQueue(given);
      }
    const cl_context foreign = program.new_context();
    const cl_command_queue theirs = program.queue(foreign);
    flagos_plugin_stream_t* stream = nullptr;
    flagos_native_t native = native_of("cl_command_queue", {number_of(theirs)});
    CHECK(program.interop.wrap_native_stream(device.get(), &native, 0, &stream) ==
          invalid_argument);
    const cl_command_queue unordered =
        program.queue(program.context, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    native = native_of("cl_command_queue", {number_of(unordered)});
    CHECK(program.interop.wrap_native_stream(device.get(), &native, 0, &stream) ==
          invalid_argument);
    CHECK(device.host.last_error().find("out of order") != std::string::npos);
    program.cl.clReleaseCommandQueue(unordered);
    program.cl.clReleaseCommandQueue(theirs);
    program.cl.clReleaseContext(foreign);
  });
}

TEST_CASE("interop: a device on a context of the program's") {
  in_each_mode([](TestDevice& device, const Program& program) {
    const flagos_plugin_t& api = device.api;
    for (const std::uint64_t flags : {std::uint64_t{0}, std::uint64_t{FLAGOS_WRAP_FLAG_OWN}}) {
      CAPTURE(flags);
      const cl_context given = program.new_context();
      program.cl.clRetainContext(given);
      const std::uint64_t before = program.holders(given);
      flagos_native_t native = program.native;
      native.handles[0] = number_of(given);
      flagos_plugin_device_t* wrapped = nullptr;
      REQUIRE(program.interop.wrap_native_device(api.instance, 0, &native, flags, &wrapped) == ok);
      const cl_command_queue queue = program.queue(given);
      const flagos_native_t native_queue = native_of("cl_command_queue", {number_of(queue)});
      flagos_plugin_stream_t* stream = nullptr;
      REQUIRE(program.interop.wrap_native_stream(wrapped, &native_queue, FLAGOS_WRAP_FLAG_OWN,
                                                 &stream) == ok);
      flagos_memory_desc_t desc{};
      desc.struct_size = sizeof(desc);
      desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
      desc.size_bytes = 64;
      desc.alignment_bytes = 256;
      flagos_address_t address = 0;
      REQUIRE(api.memory->alloc(wrapped, &desc, &address) == ok);
      const std::vector<std::uint32_t> words(16, 77);
      REQUIRE(api.memory->copy(stream, address, address_of(words.data()), 64) == ok);
      CHECK(device.read(stream, address, 16) == words);
      api.stream->destroy(stream);
      api.memory->free(wrapped, address);
      api.device->close(wrapped);
      CHECK(program.holders(given, before - flags) == before - flags);
      program.cl.clReleaseContext(given);
      if (flags == 0) program.cl.clReleaseContext(given);
    }
    flagos_native_t native = program.native;
    native.handles[1] += 8;
    flagos_plugin_device_t* wrapped = nullptr;
    CHECK(program.interop.wrap_native_device(api.instance, 0, &native, 0, &wrapped) ==
          invalid_argument);
    CHECK(device.host.last_error().find("cl_device_id") != std::string::npos);
  });
}

TEST_CASE("topology: parts of one device") {
  if (!has_device()) return;
  const TestInstance instance(Config{{"FLAGOS_OPENCL_SUBDEVICES", "1"}});
  if (instance.count() < 2) {
    MESSAGE("no device can be split");
    return;
  }
  flagos_link_info_t link{};
  link.struct_size = sizeof(link);
  REQUIRE(instance.api.topology->get_link(instance.api.instance, 0, 1, &link) == ok);
  CHECK(link.type == FLAGOS_LINK_TYPE_SAME);
}

}  // namespace
}  // namespace flagos::opencl::test
