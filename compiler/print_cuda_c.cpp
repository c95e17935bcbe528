#include "compiler/simt_emitter.hpp"
namespace flagos::compiler {
std::unique_ptr<SimtDialect> make_cuda_c() { return nullptr; }
}
