// Rows of the description: memory and memory pools.
#include <cstdlib>

#include "conformance/cases/entries.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto invalid_handle = FLAGOS_STATUS_INVALID_HANDLE;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;
constexpr auto out_of_memory = FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;

Argument device() { return handle("device", Type::device); }
Argument stream() { return handle("stream", Type::stream); }
Argument pool() { return handle("pool", Type::memory_pool); }

Argument target() {
  return value("target", Kind::address, [](Call& call) { return call.world.target(); })
      .point(0, {invalid_argument});
}
Argument source() {
  return value("source", Kind::address, [](Call& call) { return call.world.source(); })
      .point(0, {invalid_argument});
}

// The target has 2048 bytes from there on.
Argument target_size(std::uint64_t valid) {
  return value("size_bytes", Kind::size, valid)
      .point(0, {ok})
      .point(2048 + 16, {invalid_argument})
      .point(std::uint64_t{1} << 63, {invalid_argument})
      .point(UINT64_MAX - 15, {invalid_argument})
      .point(UINT64_MAX, {invalid_argument});
}

std::uint64_t some_bytes(Call& call) {
  return reinterpret_cast<std::uint64_t>(call.keep(64, 0x5a));
}

// Host memory of a page of its own.
std::uint64_t host_page(Call& call) {
  void* const page = std::aligned_alloc(4096, 4096);
  call.undo([=] { std::free(page); });
  return reinterpret_cast<std::uint64_t>(page);
}

std::uint64_t registered_page(Call& call) {
  const std::uint64_t page = host_page(call);
  flagos_address_t address = 0;
  flagos_memory_host_register(call.world.device(), reinterpret_cast<void*>(page), 4096, 0,
                              &address);
  call.undo([device = call.world.device(), page] {
    flagos_memory_host_unregister(device, reinterpret_cast<void*>(page));
  });
  return page;
}

std::uint64_t allocation(Call& call) {
  flagos_address_t address = 0;
  const auto desc = call.world.valid<flagos_memory_desc_t>();
  if (!call.world.live()) return 0x10000;
  flagos_memory_alloc(call.world.device(), &desc, &address);
  call.undo([device = call.world.device(), address] { flagos_memory_free(device, address); });
  return address;
}

std::uint64_t managed_allocation(Call& call) {
  flagos_address_t address = 0;
  auto desc = call.world.valid<flagos_memory_desc_t>();
  desc.kind = FLAGOS_MEMORY_KIND_MANAGED;
  if (!call.world.live() || flagos_memory_alloc(call.world.device(), &desc, &address) != ok)
    return call.world.memory();
  call.undo([device = call.world.device(), address] { flagos_memory_free(device, address); });
  return address;
}

std::uint64_t pool_block(Call& call) {
  flagos_address_t address = 0;
  if (!call.world.live()) return 0x10000;
  flagos_memory_pool_alloc(call.world.pool(), call.world.stream(), 256, &address);
  call.undo([&world = call.world, address] {
    flagos_memory_pool_free(world.pool(), world.stream(), address);
  });
  return address;
}

flagos_address_t address_at(Call& call, const char* argument) {
  return *call.desc<flagos_address_t>(argument);
}

void describe_copies(std::vector<Entry>& entries) {
  entries.push_back(
      FLAGOS_ENTRY(flagos_memory_copy, stream(), target(), source(), target_size(64)));
  entries.push_back(
      FLAGOS_ENTRY(
          flagos_memory_copy_peer, stream(), target(), handle("target_device", Type::device),
          value("source", Kind::address, [](Call& call) { return call.world.spare_memory(); })
              .point(0, {invalid_argument}),
          Argument{.name = "source_device",
                   .kind = Kind::handle,
                   .type = Type::device,
                   .valid =
                       [](Call& call) {
                         return reinterpret_cast<std::uint64_t>(call.world.spare_device());
                       }},
          target_size(64))
          .feature(FLAGOS_FEATURE_PEER_COPY));
  entries.push_back(
      FLAGOS_ENTRY(flagos_memory_copy_2d, stream(), in_struct<flagos_copy_2d_desc_t>("desc"))
          .feature(FLAGOS_FEATURE_COPY_2D));
  entries.push_back(FLAGOS_ENTRY(flagos_memory_fill, stream(), target(),
                                 in_data("pattern", some_bytes),
                                 value("pattern_size_bytes", Kind::size, 4)
                                     .point(0, {invalid_argument})
                                     .point(3, {invalid_argument})
                                     .point(5, {invalid_argument})
                                     .point(32, {invalid_argument})
                                     .point(UINT32_MAX, {invalid_argument}),
                                 target_size(64).point(66, {invalid_argument})));
  entries.push_back(
      FLAGOS_ENTRY(flagos_memory_update, stream(), target(), in_data("data", some_bytes),
                   target_size(64).point(FLAGOS_MEMORY_UPDATE_MAX + 1, {invalid_argument}))
          .feature(FLAGOS_FEATURE_MEMORY_UPDATE));
  entries.push_back(
      FLAGOS_ENTRY(flagos_memory_prefetch, stream(),
                   value("address", Kind::address, managed_allocation),
                   value("size_bytes", Kind::size, 64).point(UINT64_MAX, {invalid_argument}))
          .feature(FLAGOS_FEATURE_PREFETCH));
}

void describe_pools(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_memory_pool_create, device(),
                                 in_struct<flagos_memory_pool_desc_t>("desc"),
                                 out_handle("out_pool", Type::memory_pool)));
  entries.push_back(FLAGOS_ENTRY(flagos_memory_pool_destroy, taken("pool", Type::memory_pool)));
  entries.push_back(FLAGOS_ENTRY(flagos_memory_pool_alloc, pool(), stream(),
                                 value("size_bytes", Kind::size, 256)
                                     .point(0, {ok})
                                     .point(std::uint64_t{1} << 62, {out_of_memory})
                                     .point(UINT64_MAX - 255, {out_of_memory})
                                     .point(UINT64_MAX, {out_of_memory}),
                                 out_value("out_address", 8))
                        .then([](Call& call, flagos_status_t status) {
                          if (status == ok)
                            flagos_memory_pool_free(call.world.pool(), call.world.stream(),
                                                    address_at(call, "out_address"));
                        }));
  entries.push_back(FLAGOS_ENTRY(flagos_memory_pool_free, pool(), stream(),
                                 value("address", Kind::address, pool_block)
                                     .point(0, {ok})
                                     .point(1, {invalid_handle})
                                     .point(UINT64_MAX, {invalid_handle})));
  entries.push_back(FLAGOS_ENTRY(flagos_memory_pool_trim, pool(),
                                 value("keep_bytes", Kind::size, 0).point(UINT64_MAX, {ok})));
  entries.push_back(
      FLAGOS_ENTRY(flagos_memory_pool_set_limit, pool(), value("limit_bytes", Kind::size, 0)));
  entries.push_back(FLAGOS_ENTRY(flagos_memory_pool_get_statistics, pool(),
                                 out_struct<flagos_memory_pool_statistics_t>("out_statistics")));
}

}  // namespace

void describe_memory(std::vector<Entry>& entries) {
  entries.push_back(
      FLAGOS_ENTRY(flagos_memory_alloc, device(), in_struct<flagos_memory_desc_t>("desc"),
                   out_value("out_address", 8))
          .then([](Call& call, flagos_status_t status) {
            if (status == ok)
              flagos_memory_free(call.world.device(), address_at(call, "out_address"));
          }));
  entries.push_back(FLAGOS_ENTRY(flagos_memory_free, device(),
                                 value("address", Kind::address, allocation)
                                     .point(0, {ok})
                                     .point(1, {invalid_handle})
                                     .point(UINT64_MAX, {invalid_handle})));
  entries.push_back(
      FLAGOS_ENTRY(
          flagos_memory_host_register, device(), in_data("pointer", host_page),
          value("size_bytes", Kind::size, 4096)
              .point(0, {invalid_argument})
              .point(UINT64_MAX, {invalid_argument}),
          value("flags", Kind::flags, 0).point(1, {unsupported}).point(0x80000000u, {unsupported}),
          out_value("out_address", 8))
          .feature(FLAGOS_FEATURE_HOST_REGISTER)
          .then([](Call& call, flagos_status_t status) {
            if (status == ok)
              flagos_memory_host_unregister(call.world.device(), call.desc<void>("pointer"));
          }));
  entries.push_back(
      FLAGOS_ENTRY(flagos_memory_host_unregister, device(),
                   value("pointer", Kind::address, registered_page).point(1, {invalid_handle}))
          .feature(FLAGOS_FEATURE_HOST_REGISTER));
  entries.push_back(
      FLAGOS_ENTRY(flagos_memory_get_info, device(),
                   value("address", Kind::address, [](Call& call) { return call.world.source(); })
                       .point(0, {ok})
                       .point(1, {ok})
                       .point(UINT64_MAX, {ok}),
                   out_struct<flagos_memory_info_t>("out_info")));
  describe_copies(entries);
  describe_pools(entries);
}

}  // namespace flagos::conformance
