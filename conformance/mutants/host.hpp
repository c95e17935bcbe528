// A host in front of core's, for bugs in what a plugin tells it.
#pragma once

#include <flagos_plugin.h>

#include <memory>

namespace flagos::conformance::mutants {

// What a bug does to records of finished operations; NULL hands them on.
using EmitRecord = void (*)(const flagos_host_t& core, flagos_plugin_device_t* device,
                            const flagos_record_t& record);
inline EmitRecord emit_record = nullptr;
// Device losses are not told.
inline bool hides_loss = false;

struct WrappedHost;
struct WrappedHostDeleter {
  void operator()(WrappedHost* host) const;
};
using WrappedHostPointer = std::unique_ptr<WrappedHost, WrappedHostDeleter>;
WrappedHostPointer wrap_host(const flagos_host_t& core);
const flagos_host_t* table_of(const WrappedHost& host);

}  // namespace flagos::conformance::mutants
