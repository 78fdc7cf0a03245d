"""The flows of Ger & Barak 2026, typed in: rank 1 (ten equations), rank 2 (twenty-one), and nonlinear of rank 1 (ten).

In the nonlinear network the overlaps of the carriers m and u with one another are loss-visible too.

Each right-hand side is minus the sum of the products listed, ``g_x`` standing for dL/dsigma_x; norms carry a factor 2.
"""

RANK1 = {
    "z_m": "(m_m + z_z)*g_z_m + m_u*g_z_u + z_v*g_v_m",
    "z_u": "m_u*g_z_m + (u_u + z_z)*g_z_u + z_v*g_v_u",
    "v_m": "z_v*g_z_m + (m_m + v_v)*g_v_m + m_u*g_v_u",
    "v_u": "z_v*g_z_u + m_u*g_v_m + (u_u + v_v)*g_v_u",
    "m_u": "z_m*g_z_u + z_u*g_z_m + v_m*g_v_u + v_u*g_v_m",
    "z_v": "z_m*g_v_m + z_u*g_v_u + v_m*g_z_m + v_u*g_z_u",
    "m_m": "2*(z_m*g_z_m + v_m*g_v_m)",
    "u_u": "2*(z_u*g_z_u + v_u*g_v_u)",
    "v_v": "2*(v_m*g_v_m + v_u*g_v_u)",
    "z_z": "2*(z_m*g_z_m + z_u*g_z_u)",
}

RANK1_NONLINEAR = {
    "z_m": "(m_m + z_z)*g_z_m + m_u*g_z_u + z_v*g_v_m + z_u*g_m_u + 2*z_m*g_m_m",
    "z_u": "m_u*g_z_m + (u_u + z_z)*g_z_u + z_v*g_v_u + z_m*g_m_u + 2*z_u*g_u_u",
    "v_m": "z_v*g_z_m + (m_m + v_v)*g_v_m + m_u*g_v_u + v_u*g_m_u + 2*v_m*g_m_m",
    "v_u": "z_v*g_z_u + m_u*g_v_m + (u_u + v_v)*g_v_u + v_m*g_m_u + 2*v_u*g_u_u",
    "m_u": "z_u*g_z_m + z_m*g_z_u + v_u*g_v_m + v_m*g_v_u + (m_m + u_u)*g_m_u + 2*m_u*(g_m_m + g_u_u)",
    "z_v": "v_m*g_z_m + v_u*g_z_u + z_m*g_v_m + z_u*g_v_u",
    "m_m": "2*z_m*g_z_m + 2*v_m*g_v_m + 2*m_u*g_m_u + 4*m_m*g_m_m",
    "u_u": "2*z_u*g_z_u + 2*v_u*g_v_u + 2*m_u*g_m_u + 4*u_u*g_u_u",
    "v_v": "2*v_m*g_v_m + 2*v_u*g_v_u",
    "z_z": "2*z_m*g_z_m + 2*z_u*g_z_u",
}

RANK2 = {
    "z_m": "(m_m + z_z)*g_z_m + m_u1*g_z_u1 + m_u2*g_z_u2 + z_v1*g_v1_m + z_v2*g_v2_m",
    "z_u1": "m_u1*g_z_m + (u1_u1 + z_z)*g_z_u1 + u1_u2*g_z_u2 + z_v1*g_v1_u1 + z_v2*g_v2_u1",
    "z_u2": "m_u2*g_z_m + u1_u2*g_z_u1 + (u2_u2 + z_z)*g_z_u2 + z_v1*g_v1_u2 + z_v2*g_v2_u2",
    "v1_m": "z_v1*g_z_m + (m_m + v1_v1)*g_v1_m + v1_v2*g_v2_m + m_u1*g_v1_u1 + m_u2*g_v1_u2",
    "v2_m": "z_v2*g_z_m + v1_v2*g_v1_m + (m_m + v2_v2)*g_v2_m + m_u1*g_v2_u1 + m_u2*g_v2_u2",
    "v1_u1": "z_v1*g_z_u1 + m_u1*g_v1_m + (u1_u1 + v1_v1)*g_v1_u1 + u1_u2*g_v1_u2 + v1_v2*g_v2_u1",
    "v1_u2": "z_v1*g_z_u2 + m_u2*g_v1_m + u1_u2*g_v1_u1 + (u2_u2 + v1_v1)*g_v1_u2 + v1_v2*g_v2_u2",
    "v2_u1": "z_v2*g_z_u1 + m_u1*g_v2_m + v1_v2*g_v1_u1 + (u1_u1 + v2_v2)*g_v2_u1 + u1_u2*g_v2_u2",
    "v2_u2": "z_v2*g_z_u2 + m_u2*g_v2_m + v1_v2*g_v1_u2 + u1_u2*g_v2_u1 + (u2_u2 + v2_v2)*g_v2_u2",
    "m_u1": "z_m*g_z_u1 + z_u1*g_z_m + v1_m*g_v1_u1 + v2_m*g_v2_u1 + v1_u1*g_v1_m + v2_u1*g_v2_m",
    "m_u2": "z_m*g_z_u2 + z_u2*g_z_m + v1_m*g_v1_u2 + v2_m*g_v2_u2 + v1_u2*g_v1_m + v2_u2*g_v2_m",
    "z_v1": "z_m*g_v1_m + z_u1*g_v1_u1 + z_u2*g_v1_u2 + v1_m*g_z_m + v1_u1*g_z_u1 + v1_u2*g_z_u2",
    "z_v2": "z_m*g_v2_m + z_u1*g_v2_u1 + z_u2*g_v2_u2 + v2_m*g_z_m + v2_u1*g_z_u1 + v2_u2*g_z_u2",
    "u1_u2": "z_u1*g_z_u2 + z_u2*g_z_u1 + v1_u1*g_v1_u2 + v2_u1*g_v2_u2 + v1_u2*g_v1_u1 + v2_u2*g_v2_u1",
    "v1_v2": "v1_m*g_v2_m + v2_m*g_v1_m + v1_u1*g_v2_u1 + v1_u2*g_v2_u2 + v2_u1*g_v1_u1 + v2_u2*g_v1_u2",
    "m_m": "2*(z_m*g_z_m + v1_m*g_v1_m + v2_m*g_v2_m)",
    "u1_u1": "2*(z_u1*g_z_u1 + v1_u1*g_v1_u1 + v2_u1*g_v2_u1)",
    "u2_u2": "2*(z_u2*g_z_u2 + v1_u2*g_v1_u2 + v2_u2*g_v2_u2)",
    "v1_v1": "2*(v1_m*g_v1_m + v1_u1*g_v1_u1 + v1_u2*g_v1_u2)",
    "v2_v2": "2*(v2_m*g_v2_m + v2_u1*g_v2_u1 + v2_u2*g_v2_u2)",
    "z_z": "2*(z_m*g_z_m + z_u1*g_z_u1 + z_u2*g_z_u2)",
}
