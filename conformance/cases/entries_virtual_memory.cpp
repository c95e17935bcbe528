// Rows of the description: virtual memory. The world has four reserved units; the first is mapped.
#include <unistd.h>

#include <cstring>

#include "conformance/cases/entries.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto invalid_handle = FLAGOS_STATUS_INVALID_HANDLE;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;
constexpr auto feature = FLAGOS_FEATURE_VIRTUAL_MEMORY;

Argument device() { return handle("device", Type::device); }
Argument memory() { return handle("memory", Type::physical_memory); }

Argument units(const char* name) {
  return value(name, Kind::size, [](Call& call) { return call.world.unit(); });
}
Argument one_unit() {
  return units("size_bytes")
      .point(0, {invalid_argument})
      .point(1, {invalid_argument})
      .point(std::uint64_t{1} << 63, {invalid_argument})
      .point(UINT64_MAX, {invalid_argument});
}

Argument address_in(std::function<std::uint64_t(Call&)> valid) {
  return value("address", Kind::address, std::move(valid))
      .point(1, {invalid_handle, invalid_argument})
      .point(UINT64_MAX, {invalid_handle, invalid_argument});
}

std::uint64_t a_reservation(Call& call) {
  flagos_address_t address = 0x10000;
  if (!call.world.live() || !call.world.has(feature)) return address;
  flagos_virtual_memory_reserve(call.world.device(), call.world.unit(), 0, 0, &address);
  call.undo(
      [device = call.world.device(), address] { flagos_virtual_memory_release(device, address); });
  return address;
}

// Of the third unit.
std::uint64_t a_mapping(Call& call) {
  const flagos_address_t address = call.world.reserved() + 2 * call.world.unit();
  if (!call.world.live() || !call.world.has(feature)) return address;
  flagos_virtual_memory_map(call.world.device(), address, call.world.unit(),
                            call.world.physical_memory(), 0);
  call.undo(
      [device = call.world.device(), address] { flagos_virtual_memory_unmap(device, address); });
  return address;
}

Argument out_external() {
  Argument argument = out_struct<flagos_external_t>("out_external");
  argument.descriptor_offset = offsetof(flagos_external_t, fd);
  return argument;
}

Argument external() {
  return {.name = "external",
          .kind = Kind::in_struct,
          .size = sizeof(flagos_external_t),
          .valid = [](Call& call) {
            void* const kept = call.keep(sizeof(flagos_external_t));
            std::memcpy(kept, &call.world.external_physical(), sizeof(flagos_external_t));
            return reinterpret_cast<std::uint64_t>(kept);
          }};
}

void describe_physical(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_virtual_memory_get_granularity, device(),
                                 in_struct<flagos_physical_memory_desc_t>("desc"),
                                 out_value("out_minimum_bytes", 8),
                                 out_value("out_recommended_bytes", 8).may_be_null())
                        .feature(feature));
  entries.push_back(FLAGOS_ENTRY(flagos_physical_memory_create, device(),
                                 in_struct<flagos_physical_memory_desc_t>("desc"),
                                 out_handle("out_memory", Type::physical_memory))
                        .feature(feature));
  entries.push_back(
      FLAGOS_ENTRY(flagos_physical_memory_destroy, taken("memory", Type::physical_memory)));
  // Not every device exports what it maps.
  entries.push_back(FLAGOS_ENTRY(flagos_physical_memory_export, memory(), out_external())
                        .feature(feature)
                        .statuses({ok, invalid_argument})
                        .then([](Call& call, flagos_status_t status) {
                          if (status == ok)
                            ::close(call.desc<flagos_external_t>("out_external")->fd);
                        }));
  entries.push_back(FLAGOS_ENTRY(flagos_physical_memory_import, device(), external(),
                                 out_handle("out_memory", Type::physical_memory),
                                 out_value("out_size_bytes", 8).may_be_null())
                        .feature(feature)
                        .statuses({ok, invalid_handle}));
}

void describe_addresses(std::vector<Entry>& entries) {
  entries.push_back(
      FLAGOS_ENTRY(flagos_virtual_memory_reserve, device(),
                   units("size_bytes")
                       .point(0, {invalid_argument})
                       .point(1, {invalid_argument})
                       .point(std::uint64_t{1} << 63, {FLAGOS_STATUS_OUT_OF_RESOURCES})
                       .point(UINT64_MAX, {invalid_argument}),
                   value("alignment_bytes", Kind::size, 0)
                       .point(3, {invalid_argument})
                       .point(UINT64_MAX, {invalid_argument}),
                   value("wanted", Kind::user_data, 0), out_value("out_address", 8))
          .feature(feature)
          .statuses({ok, FLAGOS_STATUS_OUT_OF_RESOURCES})
          .then([](Call& call, flagos_status_t status) {
            if (status == ok)
              flagos_virtual_memory_release(call.world.device(),
                                            *call.desc<flagos_address_t>("out_address"));
          }));
  entries.push_back(FLAGOS_ENTRY(flagos_virtual_memory_release, device(),
                                 address_in(a_reservation).point(0, {ok}))
                        .feature(feature));
  entries.push_back(FLAGOS_ENTRY(flagos_virtual_memory_map, device(),
                                 address_in([](Call& call) {
                                   return call.world.reserved() + call.world.unit();
                                 }).point(0, {invalid_handle, invalid_argument}),
                                 one_unit(), memory(),
                                 value("offset_bytes", Kind::size, 0)
                                     .point(1, {invalid_argument})
                                     .point(std::uint64_t{1} << 63, {invalid_argument}))
                        .feature(feature)
                        .then([](Call& call, flagos_status_t status) {
                          if (status == ok)
                            flagos_virtual_memory_unmap(call.world.device(),
                                                        call.world.reserved() + call.world.unit());
                        }));
  entries.push_back(FLAGOS_ENTRY(flagos_virtual_memory_unmap, device(),
                                 address_in(a_mapping).point(0, {invalid_handle}))
                        .feature(feature));
  entries.push_back(FLAGOS_ENTRY(flagos_virtual_memory_set_access, device(),
                                 address_in([](Call& call) {
                                   return call.world.reserved();
                                 }).point(0, {invalid_handle}),
                                 one_unit(), handle("accessor", Type::device),
                                 value("access", Kind::enumeration, FLAGOS_MEMORY_ACCESS_READ_WRITE)
                                     .point(2, {invalid_argument})
                                     .point(4, {invalid_argument})
                                     .point(UINT32_MAX, {invalid_argument}))
                        .feature(feature));
}

}  // namespace

void describe_virtual_memory(std::vector<Entry>& entries) {
  describe_physical(entries);
  describe_addresses(entries);
}

}  // namespace flagos::conformance
