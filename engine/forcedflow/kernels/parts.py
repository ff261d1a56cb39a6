"""How lean kernels are compiled, and those that only kernels call: as a part of them, once.

numba makes a library of each kernel: optimised, turned into machine code, and then optimised and turned into machine
code again inside every kernel that calls it, and in those that call that one. Of a part it keeps what came out before
all that; only the kernels that Python calls are finished, with their parts in one piece. The market pass is compiled
in two thirds of the time so, and its parts need no place on the disk.

Nothing of numba's is replaced: a kernel may name a pipeline of its own. These leave out two passes, and that of parts
differs by its library and by the step after lowering.
"""

from __future__ import annotations

from typing import Any

from numba import _dynfunc  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass
from numba.core.typed_passes import NativeLowering, NopythonRewrites
from numba.core.untyped_passes import InlineClosureLikes

__all__ = ["LeanCompiler", "PartCompiler"]

_UNUSED = (InlineClosureLikes, NopythonRewrites)
"""Comprehensions and functions within functions; expressions of whole arrays, which would need room for results."""


class _Part(JITCodeLibrary):
    """The code of a part and of its own parts, as it was written down.

    A part that is merged is optimised before it is: what a long kernel consists of comes out slower where the compiler
    sees it as a whole only. Any other part stays a call, so that what is rare does not crowd what is not.
    """

    _merged = False

    def add_ir_module(self, ir_module: Any) -> None:
        for function in ir_module.functions:
            if not function.is_declaration:
                self._merged |= "alwaysinline" in function.attributes
                if not self._merged:
                    function.attributes.add("noinline")
        super().add_ir_module(ir_module)  # type: ignore[no-untyped-call]

    def finalize(self) -> None:
        self._raise_if_finalized()  # type: ignore[no-untyped-call]
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        if self._merged:
            self._optimize_final_module()  # type: ignore[no-untyped-call]
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=False)  # type: ignore[no-untyped-call]
class _LetCall(LoweringPass):
    """Let kernels call the part: what numba does for a kernel once it has machine code."""

    _name = "let_call"

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def run_pass(self, state: Any) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]  (numba's says None)
        lowered = state["cr"]
        described = lowered.fndesc
        name = described.qualname.split(".")[-1]
        no_code = 0  # the entry only stands for the part: it cannot be called
        entry = _dynfunc.make_function(described.lookup_module(), name, "", no_code, lowered.env, (state.library,))
        state.targetctx.insert_user_function(entry, described, [state.library])
        state["cr"] = lowered._replace(cfunc=entry)
        return True


class LeanCompiler(CompilerBase):
    """numba's usual passes, but for two that find nothing in a lean kernel and took a fifteenth of the time."""

    def define_pipelines(self) -> list[PassManager]:
        """Return the one pipeline."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state, "lean")  # type: ignore[no-untyped-call]
        pipeline.passes = [each for each in pipeline.passes if each[0] not in _UNUSED]
        pipeline.finalize()
        return [pipeline]


class PartCompiler(LeanCompiler):
    """The same, into a library that is not finished."""

    def define_pipelines(self) -> list[PassManager]:
        """Return the one pipeline."""
        state = self.state
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)  # type: ignore[no-untyped-call]
        state.flags.no_compile = True
        (pipeline,) = super().define_pipelines()
        pipeline.add_pass_after(_LetCall, NativeLowering)  # type: ignore[no-untyped-call]
        pipeline.finalize()  # type: ignore[no-untyped-call]
        return [pipeline]
